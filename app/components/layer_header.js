// Shows props.value: a layer's place, name and neighbors, or why there is none; see
// app/tables/layer_facts.py. The arrow keys go to the neighbors. Sets data-draws, which tests wait on.
const root = element.querySelector('.layer-header');
const words = props.words;
let draws = 0;

function draw() {
  const value = props.value;
  if (!value) { root.replaceChildren(make('p', { class: 'sub' }, words.loading)); return; }
  const parts = value.missing ? makeMissing(value.missing) : makeHead(value);
  root.replaceChildren(makeCrumbs(value.crumbs), ...parts);
  if (!value.missing) document.title = value.name + ' · Bitdial';
  draws += 1;
  root.dataset.draws = String(draws);
}

function makeCrumbs(crumbs) {
  return make('nav', { class: 'crumbs', 'aria-label': words.crumbs }, make('ol', {},
    ...crumbs.map((crumb) => make('li', {}, make('a', { href: crumb.href }, crumb.text)))));
}

function makeMissing(missing) {
  return [make('div', { class: 'nothing' }, make('h2', {}, missing.title),
    make('p', {}, missing.hint))];
}

function makeHead(value) {
  return [
    make('div', { class: 'top' }, make('h1', {}, value.name), make('span', { class: 'grow' }),
      make('span', { class: 'beside' }, makeBeside(value.previous, words.previous, 'ArrowLeft', '←'),
        makeBeside(value.next, words.next, 'ArrowRight', '→'))),
    make('p', { class: 'sub' }, value.sub),
  ];
}

function makeBeside(beside, label, key, arrow) {
  if (!beside) return null;
  return make('a', { class: 'bd-button', href: beside.href, 'data-key': key, 'aria-keyshortcuts': key,
    'aria-label': label + ': ' + beside.name, title: beside.name + '. ' + words.keys }, arrow);
}

function follow(event) {
  if (!root.isConnected) { document.removeEventListener('keydown', follow); return; }
  const isPlain = !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey);
  const isTyping = event.target.closest && event.target.closest('input, textarea, select, [tabindex]');
  if (!isPlain || isTyping || event.defaultPrevented) return;
  const link = root.querySelector('[data-key="' + CSS.escape(event.key) + '"]');
  if (link) location.assign(link.href);
}

document.addEventListener('keydown', follow);
watch('value', draw);
draw();
