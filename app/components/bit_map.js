// One bit map: loads it, puts its parts together, and keeps them telling the same. What is shown is the
// stored map with the changes that still wait, under the budget being dragged and the stroke being
// painted. Sets data-ready, data-saved, data-preview and data-revision, which
// tests wait on.
const words = props.words;
const root = element.querySelector('.bit-map');
const mapId = new URLSearchParams(location.search).get('map');
const NUMBER = /^\d{1,9}$/;
const FLASH = 1600;
const REFUSAL = 6000;

function ready(view) {
  view.places = new Map(view.layers.map((layer, index) => [layer.name, index]));
  orderColumns(view);
  const address = '/api/v1/bit-maps/' + view.id;
  const context = {
    view, address, mode: 'bits', scoreAt: '', compare: null, preview: null,
    isPicking: false,
    selection: new Set(), flashing: new Set(),
  };
  useScores(view.state.scores);
  const pageTitle = document.title;
  let stroke = null;
  let flashTimer = null;
  let isFollowing = false;
  let refusedAt = -Infinity;
  context.joins = findJoins({ view, grid: (context.grid = buildGrid(context)) });

  context.queue = openQueue(view, address, {
    changed, answered, refused, others, gone: showMissing,
  });
  context.shown = () => {
    let state = context.queue.shown();
    if (context.preview) state = { ...state, bits: context.preview.bits };
    if (stroke) state = applyEdit(view, state, nameEdit([...stroke.indices], stroke.bits));
    return state;
  };
  context.ledger = () => (context.preview || context.queue.truth()).ledger;
  context.prediction = () => (context.preview || context.queue.truth()).prediction;
  context.setStroke = (next) => { stroke = next; paint(context); };
  context.set = (indices, bits) => context.setAll([{ indices, bits }]);
  context.setAll = (changes) => {
    const edits = changes.filter(({ indices }) => indices.length)
      .map(({ indices, bits }) => nameEdit(indices, bits));
    if (edits.length) context.queue.add(edits, { said: { kind: 'set', ...changes[0] } });
  };
  context.togglePins = (indices) => {
    if (!indices.length) return;
    const pinned = new Set(context.shown().pinned);
    const edit = indices.every((index) => pinned.has(index)) ? 'unpin' : 'pin';
    context.queue.add([{ edit, layers: indices.map((index) => view.layers[index].name) }],
      { said: { kind: edit, indices } });
  };
  context.refresh = refresh;
  context.reload = reload;
  context.ask = ask;
  context.warn = warn;
  context.say = (sentence) => { live.textContent = sentence; };
  context.listen = listen;
  context.openMenu = openMenu;
  context.select = (indices) => { context.selection = new Set(indices); context.selected(); };
  context.selected = () => { showSelection(); paint(context); detail.show(); };
  context.showDetail = (index) => detail.focus(index ?? null);
  context.hover = (index) => detail.hover(index);
  context.openLayer = (index) => detail.open(index);

  function nameEdit(indices, bits) {
    return { edit: 'set', layers: indices.map((index) => view.layers[index].name), bits };
  }

  // --- what is said
  const live = make('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  const written = make('span', {});
  const notice = make('div', { class: 'notice', role: 'status', hidden: true }, written,
    make('button', {
      class: 'bd-button', type: 'button', click: () => warn(''),
    }, words.close));
  const away = make('div', { class: 'problem', role: 'alert', hidden: true },
    make('span', {}), make('button', {
      class: 'bd-button', type: 'button', click: () => context.queue.retryNow(),
    }, words.retry));
  const saved = make('span', { class: 'saved', 'aria-live': 'off' }, words.saved);

  function warn(sentence) {
    notice.hidden = !sentence;
    written.textContent = sentence;
    if (sentence) context.say(sentence);
  }

  // What was refused stays to be read when the answer to the next change is already there.
  function refused(sentence) {
    refusedAt = performance.now();
    warn(sentence);
  }

  function answered(request, { expected, after }) {
    if (after.note || performance.now() - refusedAt > REFUSAL) warn(after.note);
    const differing = findDifferent(expected, after);
    const isOwn = request.edits.every((edit) => ['set', 'pin', 'unpin', 'limit'].includes(edit.edit));
    if (isOwn && differing.length) flash(differing);
    if (after.note) return;
    context.say(describe(request, after));
  }

  function describe(request, after) {
    const size = writeBytes(after.ledger.total);
    const kind = request.edits[0].edit;
    const said = request.said || {};
    if (kind === 'undo') return fill(words.said_undone, { size });
    if (kind === 'redo') return fill(words.said_redone, { size });
    if (kind === 'solve') {
      return fill(words.said_solved, { bits: writeEffective(after.ledger.effective_bits), size });
    }
    if (!said.indices) return fill(words.said_done, { size });
    const count = said.indices.length;
    const place = namePlace(view, said.indices[0]);
    const sentence = {
      set: [words.said_set, words.said_many], pin: [words.said_pinned, words.said_pinned_many],
      unpin: [words.said_unpinned, words.said_unpinned_many],
    }[said.kind][count === 1 ? 0 : 1];
    return fill(sentence, { place, count, size, bits: after.bits[said.indices[0]] });
  }

  function findDifferent(before, after) {
    const pinned = [new Set(before.pinned), new Set(after.pinned)];
    return view.layers.flatMap((_, index) => (before.bits[index] !== after.bits[index]
      || pinned[0].has(index) !== pinned[1].has(index) ? [index] : []));
  }

  function others(before, after) {
    const changedCells = findDifferent(before, after);
    const names = writeSome(changedCells.map((index) => namePlace(view, index)), 3, words.other_more);
    flash(changedCells);
    warn(changedCells.length === 0 ? words.other_rest
      : fill(changedCells.length === 1 ? words.other_one : words.other_many,
        { count: changedCells.length, names }));
  }

  function flash(indices) {
    clearTimeout(flashTimer);
    context.flashing = new Set(indices);
    paint(context);
    flashTimer = setTimeout(() => { context.flashing = new Set(); paint(context); }, FLASH);
  }

  // --- asking for what is no edit; the answer, or null after saying why there is none, in the card
  // that asked where it has a place for it. Success takes back what that card said before, and
  // nothing that was said of something else.
  async function ask(path, body, refusal = null) {
    const say = refusal ? (sentence) => tellIn(refusal, sentence) : warn;
    try {
      const reply = await fetch(address + path, body === null ? {} : {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
      });
      const news = await reply.json();
      if (reply.ok) {
        if (refusal) say('');
        return news;
      }
      if (reply.status === 404) context.queue.poll();
      say(explain(news));
    } catch (error) {
      say(words.offline);
    }
    return null;
  }

  async function reload() {
    const news = await ask('/state', null);
    if (news) context.queue.take(news);
  }

  // --- bar above the grid; a button that has nothing to do yet keeps the focus it has
  function canStep(button) { return button.getAttribute('aria-disabled') !== 'true'; }
  const undo = make('button', {
    class: 'act', type: 'button', title: words.undo_title, 'aria-label': words.undo,
    'data-act': 'undo', click: () => { if (canStep(undo)) context.queue.add([{ edit: 'undo' }]); },
  }, makeIcon('undo'));
  const redo = make('button', {
    class: 'act', type: 'button', title: words.redo_title, 'aria-label': words.redo,
    'data-act': 'redo', click: () => { if (canStep(redo)) context.queue.add([{ edit: 'redo' }]); },
  }, makeIcon('redo'));
  const modes = ['bits', 'score'].map((mode) => make('button', {
    type: 'button', 'data-mode': mode, click: () => {
      context.mode = mode;
      refresh();
    },
  }, mode === 'bits' ? words.by_bits : words.by_score));
  const scoreAt = make('select', {
    class: 'field small-field', 'aria-label': words.score_at, change: () => {
      context.scoreAt = scoreAt.value;
      context.scale = buildScale(view, scoreAt.value);
      refresh();
    },
  });
  const source = make('p', { class: 'soft small' });
  const sourceNote = make('p', { class: 'soft small note-line', hidden: true });
  const pattern = make('input', {
    class: 'field pattern', type: 'text', placeholder: words.pattern_example, spellcheck: 'false',
    autocomplete: 'off', 'aria-label': words.pattern_hint, title: words.pattern_hint, input: count,
    keydown: (event) => { if (event.key === 'Enter') setByName(); },
  });
  const counted = make('span', { class: 'soft small', role: 'status' });
  const setButton = make('button', {
    class: 'bd-button', type: 'button', click: setByName, 'data-act': 'set-by-name',
  }, words.set);
  const chosen = make('span', { class: 'soft small' });
  const legend = make('div', { class: 'legend' });

  function readPatternBox() {
    const found = /^\s*(\S+?)\s*=\s*(\d+)\s*$/.exec(pattern.value);
    if (!found || ![2, 3, 4, 5, 6, 7, 8, 16].includes(Number(found[2]))) return null;
    return { pattern: found[1], bits: Number(found[2]) };
  }

  function count() {
    const name = pattern.value.split('=')[0].trim();
    const number = name ? findMatching(view, name).length : 0;
    if (!pattern.value.trim()) counted.textContent = '';
    else if (!number) counted.textContent = words.pattern_none;
    else counted.textContent = number === 1 ? words.pattern_count_one
      : fill(words.pattern_count, { count: number });
  }

  function setByName() {
    const found = readPatternBox();
    if (!found) { warn(words.pattern_bad); pattern.focus(); return; }
    const indices = findMatching(view, found.pattern);
    if (!indices.length) { warn(words.pattern_none); return; }
    context.queue.add([{ edit: 'set', ...found }], { said: { kind: 'set', indices } });
  }

  function showSelection() {
    chosen.textContent = context.selection.size
      ? fill(words.selected, { count: context.selection.size }) : '';
  }

  // --- menu of a header
  const menu = make('div', { class: 'header-menu', role: 'menu', hidden: true });
  let opener = null;

  function openMenu(cell, indices, title) {
    opener = cell;
    const close = () => { menu.hidden = true; if (opener) opener.focus({ preventScroll: true }); };
    const item = (name, label, act) => make('button', {
      type: 'button', role: 'menuitem', class: name, click: () => { close(); act(); },
    }, label);
    const widths = view.widths.map((bits) =>
      item('w' + bits, String(bits), () => context.set(indices, bits)));
    const isPinned = indices.every((index) => context.shown().pinned.includes(index));
    menu.replaceChildren(make('span', { class: 'small soft' }, title),
      make('div', { class: 'menu-widths' }, ...widths),
      item('bd-button', isPinned ? words.menu_unpin : words.menu_pin,
        () => context.togglePins(indices)));
    menu.setAttribute('aria-label', title);
    menu.hidden = false;
    const [box, place] = [frame.getBoundingClientRect(), cell.getBoundingClientRect()];
    menu.style.left = Math.max(0, Math.min(place.left - box.left, box.width - menu.offsetWidth)) + 'px';
    menu.style.top = Math.min(place.bottom - box.top + 2, box.height - menu.offsetHeight - 4) + 'px';
    widths[0].focus({ preventScroll: true });
  }

  menu.addEventListener('keydown', (event) => {
    const items = [...menu.querySelectorAll('button')];
    const at = items.indexOf(document.activeElement);
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === 'Escape' || event.key === 'Tab') {
      menu.hidden = true;
      if (opener) opener.focus({ preventScroll: true });
    } else if (event.key in steps) {
      items[(at + steps[event.key] + items.length) % items.length].focus();
    } else return;
    event.preventDefault();
  });

  // --- layout
  const detail = buildDetail(context);
  const help = buildHelp();
  const frame = make('div', { class: 'frame' },
    make('div', { class: 'grid-scroll' }, context.grid.table), menu);
  const budget = buildBudget(context);
  const ledger = buildLedger(context);
  const checks = buildChecks(context);
  const versions = buildVersions(context);
  const rules = buildRules(context);
  root.replaceChildren(buildHeading(), live, make('div', { class: 'notices' }, away, notice),
    make('div', { class: 'columns' },
      make('div', { class: 'main-column card' },
        make('div', { class: 'toolbar' }, undo, redo, saved, make('span', { class: 'grow' }), pattern,
          setButton,
          make('div', { class: 'switch', role: 'group', 'aria-label': words.color_by }, ...modes),
          help),
        frame,
        make('div', { class: 'under' }, scoreAt, legend, make('span', { class: 'grow' }), counted,
          chosen)),
      make('div', { class: 'side-column' }, budget.card, detail.card, ledger.card, checks.card,
        buildLaunch(context), versions.card, rules.card, buildFiles(context))));

  function buildHeading() {
    const told = words.heading;
    const name = make('input', {
      class: 'map-name', type: 'text', value: view.state.name ?? view.name, maxlength: 100,
      'aria-label': told.rename, change: () => {
        const wanted = name.value.trim();
        name.value = wanted || context.queue.truth().name;
        if (wanted) context.queue.add([{ edit: 'name', name: wanted }], { said: { kind: 'done' } });
      },
    });
    context.nameBox = name;
    return make('div', { class: 'map-heading' },
      make('a', { class: 'act', href: '/layers', title: told.all, 'aria-label': told.all },
        makeIcon('back')),
      make('h1', {}, name), source, sourceNote);
  }

  // --- the scores, which may still be coming in, and what is made from them
  function useScores(version) {
    const metric = nameMetric(view.sensitivity ? view.sensitivity.metric : '');
    context.scoresOf = version;
    context.unit = metric.unit;
    context.metricName = metric.title;
    context.scale = buildScale(view, context.scoreAt);
    context.wholeScale = buildScale(view, '');
  }

  // Asks for the scores anew where the map's state is of others than the ones that are shown.
  async function followScores() {
    if (isFollowing || context.queue.truth().scores === context.scoresOf) return;
    isFollowing = true;
    try {
      const reply = await fetch(address);
      if (reply.ok) takeScores(await reply.json());
    } catch (error) {
      // The next answer to a poll asks again.
    } finally {
      isFollowing = false;
    }
  }

  function takeScores(news) {
    view.sensitivity = news.sensitivity;
    view.widths = news.widths;
    view.layers.forEach((layer, index) => { layer.scores = news.layers[index].scores; });
    useScores(news.state.scores);
    refresh();
  }

  function showScores() {
    const told = words.heading;
    const found = view.sensitivity;
    const listed = listScored(view);
    refill(scoreAt, listed, () => [make('option', { value: '' }, words.at_present),
      ...listed.map((bits) => make('option', { value: bits }, fill(words.at_bits, { bits })))]);
    scoreAt.value = context.scoreAt;
    refill(source, [found], () => [view.model + ' · ' + view.quantizer_words + ' · ',
      ...(found ? nameSource(found) : [told.no_scores])]);
    sourceNote.textContent = found ? found.note : '';
    sourceNote.hidden = !sourceNote.textContent;
  }

  function nameSource(found) {
    const told = words.heading;
    return [
      fill(told.scores, {
        method: found.method, run: '',
        metric: context.metricName,
      }).replace(/,\s*$/, ''),
      found.run ? make('span', {}, ', ', make('a', { href: '/run?id=' + found.run },
        fill(told.run, { id: found.run }))) : '',
      found.is_complete ? '' : make('span', { class: 'badge badge-limit', title: found.note },
        told.partial)];
  }

  function buildHelp() {
    return make('details', { class: 'help' }, make('summary', {
      class: 'act', title: words.help, 'aria-label': words.help,
    }, makeIcon('keys')),
      make('ul', {}, ...words.help_lines.split('\n').map((line) => make('li', {}, line))));
  }

  // --- what follows from a change
  function changed() {
    const number = context.queue.numWaiting();
    const isAway = context.queue.isAway();
    saved.textContent = number ? words.saving : words.saved;
    saved.classList.toggle('unsaved', number > 0);
    away.hidden = !isAway;
    const waitsForStep = isAway ? ['undo', 'redo'].filter(context.queue.isWaitingFor) : [];
    if (isAway) {
      const waits = number === 0 ? '' : fill(
        number === 1 ? words.unsaved_count_one : words.unsaved_count, { count: number });
      away.firstChild.textContent = [number ? words.unsaved : words.offline, waits,
        ...waitsForStep.map((step) => words[step + '_waits'])].filter(Boolean).join(' ');
    }
    refresh();
    root.dataset.revision = String(context.queue.truth().revision);
    root.dataset.saved = String(number === 0);
    followScores();
  }

  function refresh() {
    paint(context);
    const truth = context.queue.truth();
    undo.setAttribute('aria-disabled', String(!truth.can_undo && context.queue.numWaiting() === 0));
    redo.setAttribute('aria-disabled', String(!truth.can_redo));
    for (const button of modes) {
      button.setAttribute('aria-pressed', String(button.dataset.mode === context.mode));
    }
    scoreAt.hidden = context.mode !== 'score' || !view.sensitivity;
    showScores();
    const state = context.shown();
    refill(legend, [context.mode, context.scoreAt, context.scoresOf, state.bits, state.fused,
      state.least, state.most], () => buildLegend(context));
    if (document.activeElement !== context.nameBox && truth.name) context.nameBox.value = truth.name;
    document.title = (truth.name ?? view.name) + ' · ' + pageTitle;
    detail.show();
    for (const part of [budget, ledger, checks, versions, rules]) part.show();
    root.dataset.preview = context.preview ? String(context.preview.amount) : '';
  }

  function listen(target, event, act) {
    const heard = (happened) => {
      if (element.isConnected) act(happened);
      else target.removeEventListener(event, heard);
    };
    target.addEventListener(event, heard);
  }

  listen(document, 'keydown', (event) => {
    const isTyping = event.target.matches && event.target.matches('input:not([type=range]):not([type=checkbox]), textarea');
    if (isTyping || !(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    const wanted = key === 'y' || (key === 'z' && event.shiftKey) ? redo : key === 'z' ? undo : null;
    if (!wanted) return;
    event.preventDefault();
    wanted.click();
  });
  listen(document, 'pointerdown', (event) => {
    if (!menu.hidden && !menu.contains(event.target)) menu.hidden = true;
    if (help.open && !help.contains(event.target)) help.open = false;
  });
  listen(document, 'keydown', (event) => {
    if (event.key !== 'Escape' || !help.open) return;
    if (help.contains(document.activeElement)) help.querySelector('summary').focus();
    help.open = false;
  });
  listen(window, 'pagehide', () => { budget.settleNow(); context.queue.flush(); });
  listen(window, 'pageshow', (event) => { if (event.persisted) context.queue.resume(); });
  listen(window, 'beforeunload', (event) => {
    budget.settleNow();
    if (context.queue.mustStay()) event.preventDefault();
  });
  wirePointing(context);
  changed();
  root.dataset.ready = 'true';
  repeat(2000, context.queue.poll);
}

function listScored(view) {
  const found = new Set(view.layers.flatMap((layer) => Object.keys(layer.scores || {}).map(Number)));
  return [...found].sort((one, other) => one - other);
}

// In place of a map: what is the matter, and the way to the other maps.
function showNothing(sentence, hint = '') {
  root.replaceChildren(make('div', { class: 'card nothing', role: 'alert' },
    make('h2', {}, sentence), hint ? make('p', {}, hint) : null,
    make('a', { class: 'bd-button', href: '/layers' }, words.see_all)));
}

function showMissing() { showNothing(fill(words.missing, { id: mapId }), words.missing_hint); }

// Asks until the server answers; what it refuses, and what cannot be shown, is said.
async function load() {
  let reply = null;
  let news = null;
  try {
    reply = await fetch('/api/v1/bit-maps/' + encodeURIComponent(mapId));
    news = await reply.json();
  } catch (error) {
    reply = null;
  }
  if (!reply || reply.status >= 500) {
    root.replaceChildren(make('div', { class: 'card nothing', role: 'alert' }, words.offline));
    return false;
  }
  if (reply.status === 404) showMissing();
  else if (!reply.ok) showNothing(explain(news), words.missing_hint);
  else {
    try {
      ready(news);
    } catch (error) {
      showNothing(words.broken);
      reportError(error);
    }
  }
  return true;
}

// The block around a component that shows nothing would still take the room of a gap.
function hideBlock() {
  root.hidden = true;
  (element.closest('.block') || element).style.display = 'none';
}

// What is sticky inside would stick to a surrounding block that hides what overflows, and so to nothing;
// clipping looks the same and lets it stick to the window.
function openBlocks() {
  for (let node = element; node && node !== document.body; node = node.parentElement) {
    if (getComputedStyle(node).overflowY === 'hidden') {
      node.style.setProperty('overflow', 'clip', 'important');
    }
  }
}

if (mapId) {
  openBlocks();
  setColors(root);
  root.replaceChildren(make('div', { class: 'card nothing', role: 'status' }, words.loading));
  if (NUMBER.test(mapId)) repeat(2000, load); else showMissing();
} else hideBlock();
