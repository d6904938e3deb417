// Draws tiles, a stacked bar of memory with its legend as a table, and the basis sentence.
const panel = element.querySelector('.bd-estimate');

function tile({ title, value, note, key }) {
  return dom.make('div', { class: 'bd-tile', 'data-key': key },
    dom.make('dt', { text: title }), dom.make('dd', { text: value }),
    note ? dom.make('dd', { class: 'note', text: note }) : null);
}

function bar(parts) {
  const strips = parts.map(({ percent, color, name, size }) => dom.make('span', {
    style: `width:${percent}%;background:${color}`, title: `${name}: ${size}`,
  }));
  return dom.make('div', { class: 'bd-bar', 'aria-hidden': 'true' }, ...strips);
}

function legend(parts, title) {
  const rows = parts.map(({ name, size, color }) => dom.make('tr', {},
    dom.make('th', { scope: 'row' },
      dom.make('i', { style: `background:${color}` }), dom.make('span', { text: name })),
    dom.make('td', { class: 'number', text: size })));
  return dom.make('table', { class: 'bd-legend', 'aria-label': title }, ...rows);
}

function show() {
  const value = props.value;
  if (!value) return;
  if (value.why) {
    dom.fill(panel, dom.make('p', { class: 'bd-estimate-why', text: value.why }));
  } else {
    dom.fill(panel,
      dom.make('dl', { class: 'bd-tiles' }, ...value.tiles.map(tile)),
      value.memory.length ? bar(value.memory) : null,
      value.memory.length ? legend(value.memory, value.memory_title) : null,
      dom.make('p', { class: 'bd-basis', text: value.basis }));
  }
  panel.dataset.state = value.why ? 'none' : 'shown';
}
watch('value', show);
show();
