// Draws tiles, a stacked bar of memory with its legend as a table, and the basis sentence.
const panel = element.querySelector('.bd-estimate');

function tile({ title, value, note, key }) {
  return make('div', { class: 'bd-tile', 'data-key': key },
    make('dt', {}, title), make('dd', {}, value), note ? make('dd', { class: 'note' }, note) : null);
}

function bar(parts) {
  return make('div', { class: 'bd-bar', 'aria-hidden': 'true' }, ...parts.map(
    ({ percent, color, name, size }) => make('span', {
      style: `width:${percent}%;background:${color}`, title: `${name}: ${size}`,
    })));
}

function legend(parts, title) {
  return make('table', { class: 'bd-legend', 'aria-label': title }, ...parts.map(
    ({ name, size, color }) => make('tr', {},
      make('th', { scope: 'row' }, make('i', { style: `background:${color}` }), name),
      make('td', {}, size))));
}

function show() {
  const value = props.value;
  if (!value) return;
  const parts = value.memory || [];
  panel.replaceChildren(...(value.why ? [make('p', { class: 'bd-estimate-why' }, value.why)] : [
    make('dl', { class: 'bd-tiles' }, ...value.tiles.map(tile)),
    ...(parts.length ? [bar(parts), legend(parts, value.memory_title)] : []),
    make('p', { class: 'bd-basis' }, value.basis),
  ]));
  panel.dataset.state = value.why ? 'none' : 'shown';
}
watch('value', show);
show();
