// Shows props.value (see app/tables/sortable.py for its shape) and sorts it where it stands. A column is
// turned by its header's button; the focus stays there. The column it is sorted by at first is scrolled
// into view beside the names. Sets data-draws, which tests wait on.
const root = element.querySelector('.sortable');
const words = props.words;
const note = make('p', { class: 'lead' });
const head = make('tr');
const body = make('tbody');
const scroll = make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': props.caption },
  make('table', {}, make('caption', { class: 'visually-hidden' }, props.caption),
    make('thead', {}, head), body));
let sorted = { column: 0, down: false };
let given = null;
let draws = 0;

function draw() {
  const value = props.value;
  const has = Boolean(value && value.rows.length);
  if (!has) { root.replaceChildren(); return; }
  if (!scroll.isConnected) root.replaceChildren(note, scroll);
  note.textContent = value.note;
  note.hidden = !value.note;
  const wanted = JSON.stringify([value.columns, value.sorted]);
  const isNew = wanted !== given;
  if (isNew) { given = wanted; sorted = { ...value.sorted }; }
  drawHead(value);
  refill(body, [value.rows, sorted], () => sortRows(value.rows).map(makeRow));
  if (isNew) showSorted();
  draws += 1;
  root.dataset.draws = String(draws);
}

function drawHead(value) {
  refill(head, value.columns, () => value.columns.map((title, at) => make('th', {
    scope: 'col', class: at ? 'number' : null,
  }, make('button', { type: 'button', class: 'sort', title: words.sort, click: () => turn(at) },
    title))));
  head.querySelectorAll('th').forEach((cell, at) => {
    const way = sorted.down ? 'descending' : 'ascending';
    cell.setAttribute('aria-sort', at === sorted.column ? way : 'none');
  });
}

// The names stay where they are, so that a column is in view once it begins where they end.
function showSorted() {
  const cells = head.children;
  const cell = cells[sorted.column];
  if (sorted.column > 0 && cell) scroll.scrollLeft = cell.offsetLeft - cells[0].offsetWidth;
}

function turn(column) {
  const isSame = sorted.column === column;
  sorted = { column, down: isSame ? !sorted.down : column > 0 };
  draw();
}

// What has no value stands at the end, whichever way the others are turned.
function sortRows(rows) {
  const key = (row) => row.cells[sorted.column].value;
  const compare = (one, other) => (typeof one === 'string'
    ? one.localeCompare(other, undefined, { numeric: true }) : one - other);
  return [...rows].sort((first, second) => {
    const [one, other] = [key(first), key(second)];
    if (one === null || other === null) return (one === null) - (other === null);
    return sorted.down ? compare(other, one) : compare(one, other);
  });
}

function makeRow(row) {
  return make('tr', {}, ...row.cells.map((cell, at) => {
    if (at > 0) return make('td', { class: 'number' }, cell.text, makeSmall(cell));
    const hint = row.hint || null;
    return make('th', { scope: 'row' }, row.href
      ? make('a', { href: row.href, class: 'name', title: hint }, ...breakName(cell.text))
      : make('span', { class: 'name', title: hint }, ...breakName(cell.text)));
  }));
}

function makeSmall(cell) {
  return cell.small ? make('span', { class: 'spread' }, ' ' + cell.small) : null;
}

// A name that is too long for its column goes on in the next line after a dot, not inside a word.
function breakName(name) {
  return name.split(/(?<=\.)/).flatMap((part) => [part, make('wbr')]).slice(0, -1);
}

watch('value', draw);
draw();
