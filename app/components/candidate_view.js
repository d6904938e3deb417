// Shows props.value, see app/tables/candidates.py for its shape. Sets data-position on the box.
const root = element.querySelector('.candidate');
const words = props.words;

function draw() {
  const value = props.value;
  root.dataset.position = value ? String(value.position) : '';
  refill(root, value || null, () => (value ? makeView(value) : []));
}

function makeView(value) {
  return [
    make('h3', {}, value.title, ...value.marks.map((mark) => make('span', {
      class: 'badge badge-' + mark.kind }, mark.word))),
    make('p', { class: 'numbers' }, value.numbers),
    make('p', { class: 'ranks mono' }, value.ranks),
    value.problem ? make('p', { class: 'problem', role: 'alert' }, value.problem) : null,
    make('div', { class: 'acts' }, makeEvaluate(value), makeUse(value), makeCopy(value)),
  ];
}

function makeEvaluate(value) {
  const press = (event) => {
    event.currentTarget.disabled = true;
    trigger('evaluate', { position: value.position });
  };
  return value.parent ? make('button', { type: 'button', class: 'bd-button', 'data-act': 'evaluate',
    title: words.evaluate_hint, click: press }, words.evaluate) : null;
}

function makeUse(value) {
  return value.clone ? make('a', { class: 'bd-button', href: value.clone, title: words.use_hint,
    'data-act': 'use' }, words.use) : null;
}

function makeCopy(value) {
  const button = make('button', { type: 'button', class: 'bd-button', title: value.command,
    'data-act': 'copy' }, makeIcon('copy'), make('span', { class: 'label' }, words.copy));
  button.addEventListener('click', () => copyText(value.command, button, words.copied));
  return button;
}

watch('value', draw);
draw();
