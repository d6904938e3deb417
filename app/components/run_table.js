// The runs page: asks /api/v1/runs every 2 seconds while visible and changes only the cells whose
// content changed. Filter and search live in the address. Sets data-loads, which tests wait on.
const words = props.words;
const root = element.querySelector('.run-table');
const PAGE = 50;
const LARGEST_PAGE = 200;
const FILTERS = ['queued', 'running', 'succeeded', 'failed', 'cancelled'];
const COLUMNS = ['state', 'name', 'method', 'bits', 'progress', 'device', 'started', 'duration'];
const asked = new URLSearchParams(location.search);
let chosenState = FILTERS.includes(asked.get('state')) ? asked.get('state') : '';
let search = asked.get('search') || '';
let runs = [];
let nextBeforeId = null;
let rows = new Map();
let loads = 0;

const searchBox = make('input', {
  class: 'field', type: 'search', placeholder: words.search, 'aria-label': words.search, value: search,
});
const stateButtons = make('div', { class: 'states', role: 'group', 'aria-label': words.filter });
const problem = make('div', { class: 'problem', role: 'alert', hidden: true });
const body = make('tbody');
const table = make('table', {},
  make('caption', { class: 'visually-hidden' }, words.caption),
  make('thead', {}, make('tr', {},
    ...COLUMNS.map((name) => make('th', {
      scope: 'col', class: 'col-' + name + (name === 'bits' || name === 'duration' ? ' number' : ''),
    }, words['column_' + name])),
    make('th', { scope: 'col', class: 'acts' },
      make('span', { class: 'visually-hidden' }, words.column_actions)))),
  body);
const nothing = make('div', { class: 'nothing', role: 'status' }, words.loading);
const moreButton = make('button', { class: 'bd-button', type: 'button' }, words.more);
const more = make('div', { class: 'more', hidden: true }, moreButton);
const scroll = make('div', { class: 'scroll', hidden: true }, table);
root.append(
  make('div', { class: 'toolbar' }, searchBox, stateButtons, make('span', { class: 'grow' }),
    make('a', { class: 'primary', href: '/new' }, makeIcon('plus'), words.new)),
  problem, make('div', { class: 'box' }, scroll, nothing, more));

function address(limit, beforeId) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (chosenState) query.set('state', chosenState);
  if (search) query.set('search', search);
  if (beforeId) query.set('before_id', String(beforeId));
  return '/api/v1/runs?' + query;
}

async function ask(limit, beforeId) {
  const place = address(limit, beforeId);
  try {
    const reply = await fetch(place);
    const news = await reply.json();
    if (!reply.ok) { showProblem(pluck(news)); return null; }
    if (problem.dataset.kind === 'offline') showProblem('');
    return place === address(limit, beforeId) ? news : null;
  } catch (error) {
    showProblem(words.offline, 'offline');
    return null;
  }
}

async function refresh() {
  const limit = Math.min(LARGEST_PAGE, Math.max(PAGE, Math.ceil(runs.length / PAGE) * PAGE));
  const news = await ask(limit, null);
  if (!news) return;
  const isWhole = runs.length <= limit;
  const oldest = news.runs.length ? news.runs[news.runs.length - 1].id : 0;
  const older = isWhole ? [] : runs.filter((run) => run.id < oldest);
  runs = [...news.runs, ...older];
  if (isWhole) nextBeforeId = news.next_before_id;
  show(news.counts);
}

async function showMore() {
  moreButton.disabled = true;
  const news = await ask(PAGE, nextBeforeId);
  moreButton.disabled = false;
  if (!news) return;
  runs = [...runs, ...news.runs];
  nextBeforeId = news.next_before_id;
  show(news.counts);
}

function show(counts) {
  showFilters(counts);
  const kept = new Map();
  runs.forEach((run, position) => {
    const row = rows.get(run.id) || make('tr', { 'data-run': run.id });
    fillRow(row, run);
    if (body.children[position] !== row) body.insertBefore(row, body.children[position] || null);
    kept.set(run.id, row);
  });
  for (const [id, row] of rows) if (!kept.has(id)) row.remove();
  rows = kept;
  scroll.hidden = runs.length === 0;
  nothing.hidden = runs.length > 0;
  more.hidden = nextBeforeId === null;
  if (runs.length === 0) showNothing();
  loads += 1;
  root.dataset.loads = String(loads);
}

function showFilters(counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  refill(stateButtons, [counts, chosenState], () => ['', ...FILTERS].map((state) => make('button', {
    type: 'button', 'aria-pressed': String(state === chosenState), 'data-state': state || 'all',
    click: () => choose(state),
  }, state ? props.states[state] : words.all, make('b', {}, String(state ? counts[state] || 0 : total)))));
}

function showNothing() {
  const isFiltered = Boolean(search || chosenState);
  refill(nothing, [isFiltered], () => (isFiltered
    ? [make('p', {}, words.no_match), make('button', { class: 'bd-button', type: 'button',
      click: () => { searchBox.value = ''; search = ''; choose(''); } }, words.clear)]
    : [make('h2', {}, words.empty), make('p', {}),
      make('a', { class: 'primary', href: '/new' }, makeIcon('plus'), words.empty_action)]));
}

function fillRow(row, run) {
  if (!row.children.length) {
    for (const name of COLUMNS) {
      const isNumber = name === 'bits' || name === 'duration';
      row.append(make(name === 'name' ? 'th' : 'td', {
        class: 'col-' + name + (isNumber ? ' number' : '') + (name === 'name' ? ' name' : ''),
        scope: name === 'name' ? 'row' : null,
      }));
    }
    row.append(make('td', { class: 'acts' }));
  }
  const [state, name, method, bits, progress, device, started, duration, acts] = row.children;
  refill(state, [run.state, run.is_stopping], () => [makeBadge(run.state, props.states[run.state]),
    run.is_stopping ? make('span', { class: 'cell-note' }, props.actions.stopping) : null]);
  refill(name, [run.name, run.model, run.failure], () => [
    make('a', { href: '/run?id=' + run.id }, run.name),
    make('span', { class: 'soft' }, '#' + run.id + ' · ' + run.model),
    run.failure && run.state === 'failed'
      ? make('span', { class: 'sentence small', title: run.failure.message }, run.failure.message)
      : null]);
  refill(method, [run.method], () => run.method);
  refill(bits, [run.bits], () => String(run.bits ?? '–'));
  fillProgress(progress, run);
  refill(device, [run.device], () => run.device || '–');
  refill(started, [writeMoment(run.started_at)], () => (run.started_at
    ? make('time', { datetime: run.started_at }, writeMoment(run.started_at)) : '–'));
  refill(duration, [writeSeconds(run.seconds)], () => writeSeconds(run.seconds));
  const held = acts.contains(document.activeElement) && document.activeElement.dataset.act;
  refill(acts, [run.actions], () => makeActions(run, props.actions, {
    isCompact: true, failed: showProblem, done: afterAction,
  }));
  const again = held && acts.querySelector('[data-act="' + held + '"]');
  if (again && document.activeElement !== again) again.focus();
}

function nameStage(stage) {
  return stage ? props.stages[stage] || stage : '';
}

function fillProgress(cell, run) {
  if (run.state === 'queued') { refill(cell, ['queued'], () => make('span', { class: 'soft' }, words.waiting)); return; }
  if (run.state !== 'running') {
    const stage = run.state === 'succeeded' ? '' : nameStage(run.stage);
    refill(cell, ['ended', stage], () => make('span', { class: 'soft' },
      stage ? fill(words.ended_in, { stage: stage.toLowerCase() }) : '–'));
    return;
  }
  refill(cell, ['bar'], () => [
    make('div', { class: 'progress-text' }, make('span'), make('span')),
    make('div', { class: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 },
      make('i'))]);
  const [text, bar] = cell.children;
  const percent = run.progress === null ? null : Math.round(100 * run.progress);
  text.children[0].textContent = nameStage(run.stage) + (percent === null ? '' : ' ' + percent + ' %');
  text.children[1].textContent = run.eta_seconds === null ? '' : '~' + writeSeconds(run.eta_seconds);
  bar.setAttribute('aria-label', run.name + ' ' + (run.stage || ''));
  if (percent === null) bar.removeAttribute('aria-valuenow');
  else bar.setAttribute('aria-valuenow', String(percent));
  bar.firstChild.style.width = (percent || 0) + '%';
}

function showProblem(sentence, kind) {
  problem.hidden = !sentence;
  problem.textContent = sentence;
  problem.dataset.kind = kind || 'action';
}

async function afterAction(action, run) {
  showProblem('');
  if (action === 'delete') runs = runs.filter((other) => other.id !== run.id);
  await refresh();
  if (action === 'delete') searchBox.focus();
}

function keepAddress() {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of [['state', chosenState], ['search', search]]) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(history.state, '', location.pathname + (text ? '?' + text : ''));
}

function choose(state) {
  chosenState = state;
  keepAddress();
  runs = [];
  refresh();
}

let typing = null;
searchBox.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => { search = searchBox.value.trim(); choose(chosenState); }, 180);
});
moreButton.addEventListener('click', showMore);
repeat(2000, refresh);
