// Shows props.value.sections; see app/tables/sections.py for their shape. A section is rebuilt only
// when its content changed. Sets data-draws, which tests wait on.
const root = element.querySelector('.facts');
const holders = new Map();
const opened = new Set();
let draws = 0;

function draw() {
  const sections = (props.value && props.value.sections) || [];
  const seen = new Set(sections.map((section) => section.id));
  for (const [id, holder] of holders) if (!seen.has(id)) { holder.remove(); holders.delete(id); }
  for (const section of sections) {
    let holder = holders.get(section.id);
    if (!holder) {
      holder = make('section', { id: section.id, 'aria-label': section.title });
      holders.set(section.id, holder);
      root.append(holder);
    }
    refill(holder, [section, opened.has(section.id)], () => makeSection(section));
  }
  draws += 1;
  root.dataset.draws = String(draws);
}

function makeSection(section) {
  const header = make('header', {}, make('h2', {}, section.title), make('span', { class: 'grow' }),
    ...section.tools.map(makeTool));
  const note = section.note ? make('p', { class: 'lead' }, section.note) : null;
  if (section.rows.length === 0) {
    return [header, make('p', { class: 'vacant' }, section.empty)];
  }
  const isOpen = opened.has(section.id) || !section.fold;
  const rows = section.rows.filter((row) => isOpen || !row.quiet);
  const table = make('div', { class: 'scroll' }, make('table', { class: section.columns.length ? null
    : 'pairs' },
  section.columns.length ? make('thead', {}, make('tr', {}, ...section.columns.map((title, at) =>
    make('th', { scope: 'col', class: section.numbers.includes(at) ? 'number' : null }, title)))) : null,
  make('tbody', {}, ...rows.map((row) => makeRow(row, section)))));
  return [header, note, table, makeRest(section, isOpen)];
}

function makeRow(row, section) {
  return make('tr', { class: row.quiet ? 'quiet' : null }, ...row.cells.map((cell, at) =>
    make(at === 0 ? 'th' : 'td', {
      scope: at === 0 ? 'row' : null, class: section.numbers.includes(at) ? 'number' : null,
    }, ...makeCell(cell))));
}

function makeCell(cell) {
  const kind = [cell.mono ? 'mono' : '', cell.tone || ''].join(' ').trim() || null;
  let main = make('span', { class: kind, title: cell.title || null }, cell.text);
  if (cell.href) {
    main = make('a', { href: cell.href, class: kind, download: cell.is_download || null }, cell.text);
  }
  if (cell.badge) main = make('span', {
    class: 'badge badge-' + cell.badge, title: cell.title || null }, cell.text);
  if (cell.copies) main = make('span', { class: 'hash' }, main, makeCopy(cell));
  const mark = cell.mark ? make('span', {
    class: 'badge badge-' + cell.mark, title: cell.title || null }, cell.mark) : null;
  return [main, cell.note || mark
    ? make('span', { class: 'note' }, cell.note, mark ? ' ' : null, mark) : null];
}

function makeCopy(cell) {
  const button = make('button', {
    class: 'act', type: 'button', 'aria-label': cell.copy_label, title: cell.copy_label,
  }, makeIcon('copy'), make('span', { class: 'label visually-hidden' }, ''));
  button.addEventListener('click', () => copyText(cell.copies, button, '✓'));
  return button;
}

function makeTool(tool) {
  if (tool.kind === 'download') {
    return make('a', { class: 'bd-button', href: tool.href, download: true },
      makeIcon('download'), tool.text);
  }
  const button = make('button', { class: 'bd-button', type: 'button' },
    makeIcon('copy'), make('span', { class: 'label' }, tool.text));
  button.addEventListener('click', async () => {
    const reply = await fetch(tool.href).catch(() => null);
    if (reply && reply.ok) await copyText(await reply.text(), button, tool.done);
  });
  return button;
}

function makeRest(section, isOpen) {
  const count = section.rows.filter((row) => row.quiet).length;
  if (!section.fold || count === 0) return null;
  return make('div', { class: 'rest' }, make('button', {
    class: 'bd-button', type: 'button', 'aria-expanded': String(isOpen),
    click: () => {
      if (!opened.delete(section.id)) opened.add(section.id);
      draw();
      holders.get(section.id).querySelector('.rest button').focus();
    },
  }, fill(isOpen ? section.fold.less : section.fold.more, { count })));
}

watch('value', draw);
draw();
