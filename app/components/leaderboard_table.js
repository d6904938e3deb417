// The leaderboard: asks /api/v1/leaderboard for what the address says, every 5 seconds while visible.
// The server sorts and filters, so CSV, Markdown and figure show the same. Sets data-loads.
const words = props.words;
const root = element.querySelector('.leaderboard');
const REMEMBERED = 'bitdial-leaderboard-columns';
const KEPT = ['sort', 'search', 'min_bits', 'max_bits', 'columns', 'published'];
const asked = new URLSearchParams(location.search);
const view = Object.fromEntries(KEPT.map((name) => [name, asked.get(name) || '']));
view.published = view.published === 'no' ? 'no' : '';
if (!view.columns) view.columns = localStorage.getItem(REMEMBERED) || '';
let lastText = '';
let groups = [];
let loads = 0;

function makeField(name, properties) {
  const field = make('input', { class: 'field', ...properties, value: view[name] });
  let typing = null;
  field.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ [name]: field.value.trim() }), 180);
  });
  return field;
}

const searchBox = makeField('search', {
  class: 'field search', type: 'search', placeholder: words.search, 'aria-label': words.search,
});
const bitsField = (name) => makeField(name, {
  type: 'number', min: 0, max: 64, step: 0.5, 'aria-label': words[name], inputmode: 'decimal',
});
const minBits = bitsField('min_bits');
const maxBits = bitsField('max_bits');
const choices = make('div');
const menu = make('details', { class: 'menu' },
  make('summary', { class: 'bd-button' }, makeIcon('columns'), words.columns), choices);
const csvLink = make('a', { class: 'bd-button', 'data-act': 'csv' }, makeIcon('download'), words.csv);
const markdownLink = make('a', { class: 'bd-button', 'data-act': 'markdown' },
  makeIcon('download'), words.markdown);
const copyButton = make('button', {
  class: 'bd-button', type: 'button', 'aria-label': words.copy_label, 'data-act': 'copy',
}, makeIcon('copy'), make('span', { class: 'label' }, words.copy));
const publishedBox = make('input', {
  type: 'checkbox', 'data-act': 'published',
  change: () => change({ published: publishedBox.checked ? '' : 'no' }),
});
publishedBox.checked = view.published !== 'no';
const publishedLabel = make('label', {
  class: 'published-choice', title: words.published_hint, hidden: true,
}, publishedBox, words.published);
const toolbar = make('div', { class: 'toolbar', hidden: true }, searchBox,
  make('span', { class: 'range' }, words.bits, minBits, words.to, maxBits),
  publishedLabel, make('span', { class: 'grow' }), menu, csvLink, markdownLink, copyButton);
const problem = make('div', { class: 'problem', role: 'alert', hidden: true });
const tables = make('div');
const nothing = make('div', { class: 'box nothing', role: 'status' }, words.loading);
root.append(toolbar, problem, nothing, tables);

function queryText() {
  const query = new URLSearchParams();
  for (const name of KEPT) if (view[name]) query.set(name, view[name]);
  const text = query.toString();
  return text ? '?' + text : '';
}

async function refresh() {
  const query = queryText();
  try {
    const reply = await fetch('/api/v1/leaderboard' + query);
    const text = await reply.text();
    if (query !== queryText()) return;
    if (!reply.ok) { showProblem(pluck(JSON.parse(text))); return; }
    showProblem('');
    if (text !== lastText) {
      lastText = text;
      groups = JSON.parse(text).groups;
      show();
      trigger('view_changed', {});
    }
    loads += 1;
    root.dataset.loads = String(loads);
  } catch (error) {
    showProblem(words.offline);
  }
}

function showProblem(sentence) {
  problem.hidden = !sentence;
  problem.textContent = sentence;
}

function change(values) {
  Object.assign(view, values);
  const query = new URLSearchParams(location.search);
  for (const name of KEPT) {
    if (view[name]) query.set(name, view[name]);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(history.state, '', location.pathname + (text ? '?' + text : ''));
  lastText = '';
  refresh();
}

function show() {
  toolbar.hidden = groups.length === 0;
  const hasPublished = groups.some((group) => group.published.length > 0);
  publishedLabel.hidden = !hasPublished && view.published !== 'no';
  nothing.hidden = groups.length > 0;
  if (groups.length === 0) {
    refill(nothing, ['empty'], () => [
      make('h2', {}, words.empty), make('p', {}, words.empty_hint),
      make('a', { class: 'primary', href: '/new' }, makeIcon('plus'), words.empty_action),
      ' ', make('a', { class: 'bd-button', href: '/runs' }, words.see_runs)]);
  }
  const query = queryText();
  csvLink.href = '/api/v1/leaderboard.csv' + query;
  markdownLink.href = '/api/v1/leaderboard.md' + query;
  showChoices();
  const focused = document.activeElement && tables.contains(document.activeElement)
    ? [document.activeElement.dataset.group, document.activeElement.dataset.column] : null;
  tables.replaceChildren(...groups.map(makeGroup));
  if (focused && focused[1]) {
    const found = [...tables.querySelectorAll('thead button')].find((button) =>
      button.dataset.group === focused[0] && button.dataset.column === focused[1]);
    if (found) found.focus();
  }
}

function isShown(column) {
  return view.columns ? view.columns.split(',').includes(column.id) : column.shown;
}

function allColumns() {
  const found = new Map();
  for (const group of groups) for (const column of group.columns) found.set(column.id, column);
  return [...found.values()];
}

function showChoices() {
  const columns = allColumns();
  refill(choices, [columns.map((column) => column.id), view.columns], () => [
    ...columns.map((column) => {
      const box = make('input', { type: 'checkbox', disabled: column.id === 'name' });
      box.checked = isShown(column);
      box.addEventListener('change', () => choose(column.id, box.checked));
      return make('label', { title: column.description }, box,
        column.title + (column.unit && !'↓↑'.includes(column.unit) ? ' (' + column.unit + ')' : ''));
    }),
    make('button', { class: 'bd-button', type: 'button', click: () => remember('') },
      words.reset_columns)]);
}

function choose(id, isWanted) {
  const chosen = allColumns().filter((column) => (column.id === id ? isWanted : isShown(column)));
  remember(chosen.map((column) => column.id).join(','));
}

function remember(columns) {
  if (columns) localStorage.setItem(REMEMBERED, columns);
  else localStorage.removeItem(REMEMBERED);
  change({ columns });
}

function makeGroup(group) {
  const columns = group.columns.filter(isShown);
  const sort = view.sort || '-effective_bits';
  const id = 'group-' + group.key;
  const shared = findShared(group);
  return make('section', { 'aria-labelledby': id },
    make('div', { class: 'heading' }, make('h2', { id }, group.title), shared ? makeMark(shared) : null,
      group.num_hidden ? make('span', { class: 'soft small' }, hiddenSentence(group), ' ',
        make('button', { class: 'bd-button', type: 'button', click: clear }, words.clear)) : null),
    make('div', { class: 'box' },
      make('div', { class: 'scroll', role: 'region', 'aria-labelledby': id, tabindex: 0 },
        make('table', {},
          make('thead', {}, make('tr', {},
            ...columns.map((column) => makeHead(group, column, sort)))),
          make('tbody', {}, ...group.rows.map((row) => makeRow(row, columns, shared))),
          group.published.length
            ? make('tbody', { class: 'published' },
              ...group.published.map((row) => makePublished(row, columns))) : null))),
    group.published.length ? make('p', { class: 'below' }, words.published_source) : null,
    group.note ? make('p', { class: 'below' }, group.note) : null);
}

function hiddenSentence(group) {
  const sentence = group.num_hidden === 1 ? words.hidden_one : words.hidden;
  return fill(sentence, { count: group.num_hidden });
}

function clear() {
  searchBox.value = ''; minBits.value = ''; maxBits.value = '';
  change({ search: '', min_bits: '', max_bits: '' });
}

function makeHead(group, column, sort) {
  const isSorted = sort.replace(/^-/, '') === column.id;
  const isDescending = sort.startsWith('-');
  const arrow = isSorted ? (isDescending ? '▼' : '▲') : '';
  return make('th', {
    scope: 'col', class: column.align === 'number' ? 'number' : null,
    'aria-sort': isSorted ? (isDescending ? 'descending' : 'ascending') : null,
  }, make('button', {
    type: 'button', title: column.description, 'data-column': column.id, 'data-group': group.key,
    'aria-label': fill(words.sort_label, { title: column.title }),
    click: () => change({ sort: isSorted && !isDescending ? '-' + column.id : column.id }),
  }, make('span', {}, column.title,
    column.unit ? make('span', { class: 'unit' }, ' ' + column.unit) : null),
  make('span', { class: 'arrow', 'aria-hidden': 'true' }, arrow)));
}

function makeRow(row, columns, shared) {
  return make('tr', { class: row.is_baseline ? 'baseline' : null, 'data-run': row.run_id },
    ...columns.map((column) => {
      const cell = row.cells[column.id];
      if (column.id === 'name') return makeName(row, cell, shared);
      return make('td', { class: column.align === 'number' ? 'number' : null },
        make('span', { class: cell.tone || null }, cell.text),
        cell.note ? make('span', { class: 'note' }, cell.note) : null);
    }));
}

function makePublished(row, columns) {
  return make('tr', {}, ...columns.map((column) => {
    if (column.id === 'name') {
      return make('th', { scope: 'row', class: 'name', title: row.title }, row.name, ' ',
        make('span', { class: 'badges' }, makeMark([words.published_badge, row.title])),
        make('span', { class: 'note' }, words.published_note));
    }
    const cell = row.cells[column.id];
    return make('td', { class: column.align === 'number' ? 'number' : null },
      cell ? cell.text : '–');
  }));
}

// A badge that every run of the group has is said once, beside the group's title.
function findShared(group) {
  const isEverywhere = (word) => group.rows.length > 0
    && group.rows.every((row) => row.badges.some(([other]) => other === word));
  const first = group.rows.length ? group.rows[0].badges : [];
  return first.find(([word]) => word === 'limit' && isEverywhere(word)) || null;
}

function makeMark([word, sentence]) {
  return make('span', { class: 'badge badge-' + word, title: sentence }, word);
}

function makeName(row, cell, shared) {
  return make('th', { scope: 'row', class: 'name' },
    make('a', { href: '/run?id=' + row.run_id }, cell.text),
    make('span', { class: 'badges' },
      ...row.badges.filter(([word]) => !shared || word !== shared[0]).map(makeMark)),
    make('span', { class: 'note' }, cell.note));
}

copyButton.addEventListener('click', async () => {
  const reply = await fetch(markdownLink.href).catch(() => null);
  if (reply && reply.ok) await copyText(await reply.text(), copyButton, words.copied);
  else showProblem(words.offline);
});
document.addEventListener('click', (event) => {
  if (menu.open && !menu.contains(event.target)) menu.open = false;
});
menu.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') { menu.open = false; menu.firstChild.focus(); }
});
repeat(5000, refresh);
