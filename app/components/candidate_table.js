// Shows props.value, see app/tables/candidates.py for its shape. A row's button chooses it; the focus
// stays on it over updates. Sets data-draws, which tests wait on.
const root = element.querySelector('.candidates');
const words = props.words;
const note = make('p', { class: 'lead' });
const body = make('tbody');
const head = make('tr');
const table = make('table', {}, make('caption', { class: 'visually-hidden' }, words.caption),
  make('thead', {}, head), body);
const scroll = make('div', { class: 'scroll' }, table);
const rows = new Map();
let draws = 0;

function draw() {
  const value = props.value;
  const has = Boolean(value && value.rows.length);
  if (!has) { root.replaceChildren(); return; }
  if (!scroll.isConnected) root.replaceChildren(note, scroll);
  note.textContent = value.note;
  note.hidden = !value.note;
  refill(head, value.columns, () => value.columns.map((title, at) => make('th', {
    scope: 'col', class: at > 1 ? 'number' : null }, title)));
  const seen = new Set();
  value.rows.forEach((row, at) => {
    const line = rows.get(row.position) || make('tr', { 'data-position': row.position });
    rows.set(row.position, line);
    seen.add(row.position);
    refill(line, row, () => makeRow(row));
    const isChosen = row.position === value.selected;
    line.classList.toggle('is-chosen', isChosen);
    line.querySelector('button').setAttribute('aria-pressed', String(isChosen));
    if (body.children[at] !== line) body.insertBefore(line, body.children[at] || null);
  });
  for (const [position, line] of rows) if (!seen.has(position)) { line.remove(); rows.delete(position); }
  draws += 1;
  root.dataset.draws = String(draws);
}

function makeRow(row) {
  const choose = () => trigger('chosen', { position: row.position });
  return [
    make('th', { scope: 'row' }, make('button', { type: 'button', class: 'pick',
      'aria-label': fill(words.choose, { number: row.number }), click: choose }, row.number)),
    make('td', {}, row.origin, ...row.marks.map((mark) => make('span', {
      class: 'badge badge-' + mark.kind }, mark.word))),
    ...row.cells.map((cell) => make('td', { class: 'number' }, cell)),
  ];
}

watch('value', draw);
draw();
