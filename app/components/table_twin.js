// Shows props.value as a folded table. What is open stays open over updates.
const root = element.querySelector('.twin');
const body = make('div', { class: 'scroll', tabindex: 0 });
const holder = make('details', {}, make('summary', {}, props.summary), body);
holder.open = Boolean(props.opened);
root.classList.toggle('opened', holder.open);

function draw() {
  const value = props.value;
  const has = Boolean(value && value.rows.length);
  if (!has) { holder.remove(); return; }
  if (!holder.isConnected) root.append(holder);
  refill(body, value, () => make('table', {},
    make('caption', { class: 'visually-hidden' }, props.caption),
    make('thead', {}, make('tr', {}, ...value.columns.map((title, at) => make('th', {
      scope: 'col', class: at ? 'number' : null }, title)))),
    make('tbody', {}, ...value.rows.map((row) => make('tr', {}, ...row.map((cell, at) => make(
      at ? 'td' : 'th', { scope: at ? null : 'row', class: at ? 'number' : null }, cell)))))));
}

watch('value', draw);
draw();
