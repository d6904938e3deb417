// The bit maps, page by page from the one changed last, and a form that makes a new one from scores,
// from a run's widths or from a model.
// Sets data-loads, which tests wait on. Shows nothing where the address names a map.
const words = props.words;
const root = element.querySelector('.bit-map-list');
const asked = new URLSearchParams(location.search);
const ADDRESS = '/api/v1/bit-maps';
let loads = 0;
let numPages = 1;
let scored = [];
let finished = [];
let isFirst = true;

const problem = make('div', { class: 'problem', role: 'alert', hidden: true });
const nothing = make('div', { class: 'box nothing', role: 'status' }, words.loading);
const body = make('tbody');
const moreButton = make('button', { class: 'bd-button', type: 'button', click: showMore }, words.more);
const more = make('div', { class: 'more', hidden: true }, moreButton);
const list = make('div', { class: 'box maps', hidden: true }, make('div', { class: 'scroll' },
  make('table', {}, make('caption', { class: 'visually-hidden' }, words.maps),
    make('thead', {}, make('tr', {}, ...['map', 'model', 'changed'].map((name) =>
      make('th', { scope: 'col' }, words[name])),
    make('th', { scope: 'col' }, make('span', { class: 'visually-hidden' }, words.actions)))), body)), more);

// --- form
const sensitivity = make('select', { class: 'field wide', name: 'sensitivity' });
const run = make('select', { class: 'field wide', name: 'run', change: showScores });
const scores = make('select', { class: 'field wide', name: 'run-scores' });
const model = make('input', {
  class: 'field wide', name: 'model', type: 'text', spellcheck: 'false', title: words.model_hint,
  value: 'bundled:smollm2-135m',
});
const bits = make('select', { class: 'field short', name: 'bits' },
  ...[2, 3, 4, 5, 6, 7, 8].map((width) => make('option', { value: width, selected: width === 4 },
    String(width))));
const group = make('input', {
  class: 'field short', name: 'group_size', type: 'number', min: 1, value: 64,
});
const name = make('input', {
  class: 'field', name: 'name', type: 'text', maxlength: 100, placeholder: words.name_hint,
});
const none = { sensitivity: make('span', { hidden: true }, words.no_sensitivity),
  run: make('span', { hidden: true }, words.no_run) };
const parts = {
  sensitivity: make('div', { class: 'asked' }, make('label', {}, words.run_sensitivity, sensitivity,
    none.sensitivity)),
  run: make('div', { class: 'asked' }, make('label', {}, words.run_any, run, none.run),
    make('label', {}, words.run_scores, scores)),
  model: make('div', { class: 'asked' }, make('label', {}, words.model_field, model),
    make('label', {}, words.bits_field, bits), make('label', {}, words.group_field, group)),
};
const origins = Object.keys(parts).map((origin) => make('input', {
  type: 'radio', name: 'bit-map-origin', value: origin, change: showPart,
}));
const create = make('button', { class: 'primary', type: 'submit' }, makeIcon('plus'), words.create);
const form = make('form', { class: 'box new-map', hidden: true, submit: send },
  make('h2', {}, words.new),
  make('fieldset', {}, make('legend', {}, words.from), ...origins.map((radio) =>
    make('label', {}, radio, words['from_' + radio.value]))),
  ...Object.values(parts),
  make('div', { class: 'asked' }, make('label', {}, words.name_field, name)),
  make('p', { class: 'hint' }, words.no_scores), create);

function chosenOrigin() {
  return origins.find((radio) => radio.checked).value;
}

function showPart() {
  for (const [origin, part] of Object.entries(parts)) part.hidden = origin !== chosenOrigin();
  const lists = { sensitivity, run };
  create.disabled = chosenOrigin() in lists && lists[chosenOrigin()].options.length === 0;
}

function readForm() {
  const asking = name.value.trim() ? { name: name.value.trim() } : {};
  if (chosenOrigin() === 'sensitivity') return { ...asking, sensitivity: Number(sensitivity.value) };
  if (chosenOrigin() === 'run') {
    return { ...asking, run: Number(run.value),
      ...(scores.value ? { sensitivity: Number(scores.value) } : {}) };
  }
  return {
    ...asking, model: model.value.trim(),
    quantizer: { bits: Number(bits.value), group_size: Number(group.value) },
  };
}

async function send(event) {
  event.preventDefault();
  if (create.getAttribute('aria-disabled') === 'true') return;
  create.setAttribute('aria-disabled', 'true');
  try {
    const reply = await fetch(ADDRESS, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(readForm()),
    });
    const news = await reply.json();
    if (reply.ok) { location.assign('/layers?map=' + news.id); return; }
    showProblem(pluck(news));
  } catch (error) {
    showProblem(words.offline);
  }
  create.removeAttribute('aria-disabled');
}

function showProblem(sentence) {
  problem.hidden = !sentence;
  problem.textContent = sentence;
}

// What of a run tells it from others: of scores also how they were found, and how far they are.
function nameRun(each) {
  const told = fill(each.kind === 'sensitivity' ? words.run_scored : words.run_option, each);
  if (each.state === 'succeeded') return told;
  const state = props.states[each.state].toLowerCase();
  return fill(words.run_going, { told, state: each.state === 'running' && each.progress !== null
    ? fill(words.run_share, { state, share: Math.floor(100 * each.progress) }) : state });
}

// Scores of the chosen run's model; whether they are of its grid and start is for the server to say.
function showScores() {
  const chosen = finished.find((each) => String(each.id) === run.value);
  const fitting = chosen ? scored.filter((each) => each.model === chosen.model) : [];
  const kept = scores.value;
  refill(scores, fitting.map((each) => [each.id, nameRun(each)]), () => [
    make('option', { value: '' }, words.run_without),
    ...fitting.map((each) => make('option', { value: each.id }, nameRun(each)))]);
  if (fitting.some((each) => String(each.id) === kept)) scores.value = kept;
  scores.parentElement.hidden = fitting.length === 0;
}

function fillRuns(select, note, runs) {
  const chosen = select.value;
  refill(select, runs.map((each) => [each.id, nameRun(each)]), () => runs.map((each) =>
    make('option', { value: each.id }, nameRun(each))));
  if (runs.some((each) => String(each.id) === chosen)) select.value = chosen;
  select.hidden = runs.length === 0;
  note.hidden = runs.length > 0;
}

async function refresh() {
  try {
    const [found, runs] = await Promise.all([askPages(), ask('/api/v1/runs?limit=200')]);
    const refused = found.refusal || runs.refusal;
    if (refused) { showProblem(refused); return; }
    if (problem.dataset.kind === 'offline') showProblem('');
    problem.dataset.kind = '';
    more.hidden = found.next_before_id === null;
    show(found.maps, runs.runs);
  } catch (error) {
    problem.dataset.kind = 'offline';
    showProblem(words.offline);
  }
}

async function ask(address) {
  const reply = await fetch(address);
  const news = await reply.json();
  return reply.ok ? news : { refusal: pluck(news) };
}

// All pages that are open, anew: a map that was changed meanwhile stands first now. One that two pages
// have, because it was changed between them, stands where it was found first.
async function askPages() {
  const maps = new Map();
  let next = null;
  for (let page = 0; page < numPages; page += 1) {
    const news = await ask(next === null ? ADDRESS : ADDRESS + '?before_id=' + next);
    if (news.refusal) return news;
    for (const map of news.maps) if (!maps.has(map.id)) maps.set(map.id, map);
    next = news.next_before_id;
    if (next === null) break;
  }
  return { maps: [...maps.values()], next_before_id: next };
}

async function showMore() {
  if (moreButton.getAttribute('aria-disabled') === 'true') return;
  moreButton.setAttribute('aria-disabled', 'true');
  numPages += 1;
  await refresh();
  moreButton.removeAttribute('aria-disabled');
}

function show(maps, runs) {
  scored = runs.filter((each) => each.kind === 'sensitivity' && each.state !== 'queued');
  // The newest whose scores are whole is what one most likely means, and stands first.
  scored.sort((one, other) => (other.state === 'succeeded') - (one.state === 'succeeded'));
  finished = runs.filter((each) => each.kind === 'experiment' && each.state === 'succeeded');
  fillRuns(sensitivity, none.sensitivity, scored);
  fillRuns(run, none.run, finished);
  if (isFirst) {
    isFirst = false;
    const wanted = ['sensitivity', 'run', 'model'].find((origin) => asked.get(origin))
      || (scored.length ? 'sensitivity' : finished.length ? 'run' : 'model');
    origins.find((radio) => radio.value === wanted).checked = true;
    if (asked.get('sensitivity')) sensitivity.value = asked.get('sensitivity');
    if (asked.get('run')) run.value = asked.get('run');
    if (asked.get('model')) model.value = asked.get('model');
  }
  showScores();
  showPart();
  form.hidden = false;
  list.hidden = maps.length === 0;
  nothing.hidden = maps.length > 0;
  if (!maps.length) {
    refill(nothing, ['empty'], () => [make('h2', {}, words.empty), make('p', {}, words.empty_hint),
      make('a', { class: 'primary', href: '/sensitivity' }, words.measure)]);
  }
  refill(body, maps, () => maps.map((map) => make('tr', { 'data-map': map.id },
    make('th', { scope: 'row' }, make('a', { href: '/layers?map=' + map.id }, map.name)),
    make('td', {}, map.model), make('td', {}, writeMoment(map.updated_at)),
    make('td', { class: 'number' }, make('button', {
      class: 'act danger', type: 'button', 'aria-label': fill(words.remove, { name: map.name }),
      title: fill(words.remove, { name: map.name }), click: () => remove(map),
    }, makeIcon('delete'))))));
  loads += 1;
  root.dataset.loads = String(loads);
}

function remove(map) {
  const dialog = make('dialog', { class: 'ask' }, make('p', {}, fill(words.remove_ask, map)),
    make('div', { class: 'ask-buttons' },
      make('button', { class: 'bd-button', type: 'button', click: () => dialog.close() },
        words.remove_no),
      make('button', { class: 'bd-button danger', type: 'button', click: async () => {
        dialog.close();
        const reply = await fetch(ADDRESS + '/' + map.id, { method: 'DELETE' }).catch(() => null);
        if (!reply) showProblem(words.offline);
        else if (!reply.ok) showProblem(pluck(await reply.json()));
        refresh();
      } }, words.remove_yes)));
  dialog.addEventListener('close', () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
}

// The block around a component that shows nothing would still take the room of a gap.
if (asked.get('map')) {
  root.hidden = true;
  (element.closest('.block') || element).style.display = 'none';
} else {
  root.append(make('h1', {}, words.title), make('p', { class: 'lead' }, words.lead), problem, nothing,
    list, form);
  repeat(5000, refresh);
}
