// A box that holds the value, and a radio per whole number that writes into it. Typing and choosing both
// fire the browser's own input event, which the form listens for.
const root = element.querySelector('.number-dial');
const id = props.name + '-value';
const box = make('input', {
  type: 'text', id, inputmode: 'decimal', autocomplete: 'off', spellcheck: 'false',
  'aria-describedby': id + '-help', input: () => take(box.value),
});
const radios = props.choices.map((choice) => make('input', {
  type: 'radio', name: id, value: String(choice), input: (event) => {
    box.value = event.target.value;
    take(box.value);
  },
}));

function take(text) {
  props.value = text;
  showChosen();
}

function showChosen() {
  const text = box.value.trim();
  for (const radio of radios) {
    radio.checked = text !== '' && Number(text) === Number(radio.value);
    radio.parentElement.classList.toggle('selected', radio.checked);
  }
}

function show() {
  const value = props.value === null || props.value === undefined ? '' : String(props.value);
  if (box.value !== value) box.value = value;
  showChosen();
}

root.append(
  make('label', { class: 'title', for: id }, props.title),
  make('p', { class: 'help', id: id + '-help' }, props.help),
  make('div', { class: 'line' }, box,
    make('div', { class: 'wrap', role: 'radiogroup', 'aria-label': props.title },
      ...radios.map((radio) => make('label', {}, radio, make('span', {}, radio.value))))),
);
watch('value', show);
show();
