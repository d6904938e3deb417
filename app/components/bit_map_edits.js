// Changes of a bit map: applied at once here, sent one request at a time in the order in which they
// were made, and replaced by what the server answers, which has the last word. Edits are numbered as
// they are sent first, and the server skips numbers that it has had: sending again is always safe.
const RETRY_FIRST = 400;
const RETRY_LAST = 5000;
const MOST_WAITING = 24;
const MOST_EDITS = 500;
const MOST_ERRORS = 4;
// The server tells what else ended, such as measurements, for half a minute to who names a revision.
const STALE_AFTER = 20000;
// Browsers take 64 KiB in all from pages that are being left.
const MOST_KEPT_ALIVE = 60000;
const CLIENT = 'bitdial-client';

// Shell wildcards over the whole name, as the server reads them.
function readPattern(pattern) {
  const parts = [...pattern.matchAll(/\[(!?)(\]?[^\]]*)\]|[^]/g)].map((found) => {
    if (found[0] === '*') return '[^]*';
    if (found[0] === '?') return '[^]';
    if (found[2] !== undefined) {
      const inside = found[2].replace(/[\\\]^]/g, '\\$&');
      return '[' + (found[1] ? '^' : '') + inside + ']';
    }
    return found[0].replace(/[.*+?^$()|[\]{}\\]/g, '\\$&');
  });
  try {
    const whole = new RegExp('^(?:' + parts.join('') + ')$', 'u');
    return (name) => whole.test(name);
  } catch (error) {
    return (name) => name === pattern;
  }
}

function findMatching(view, pattern) {
  const isNamed = readPattern(pattern);
  return view.layers.flatMap((layer, index) => (isNamed(layer.name) ? [index] : []));
}

function findMembers(view, state, indices) {
  if (!state.fused) return indices;
  const groups = new Set(indices.map((index) => view.layers[index].group).filter((id) => id !== null));
  if (!groups.size) return indices;
  const all = new Set(indices);
  view.layers.forEach((layer, index) => { if (groups.has(layer.group)) all.add(index); });
  return [...all];
}

function isWithin(state, index, bits) {
  const least = state.least[index];
  const most = state.most[index];
  return (least === undefined || bits >= least) && (most === undefined || bits <= most);
}

function applyEdit(view, state, edit) {
  if (edit.edit === 'fuse') return { ...state, fused: edit.fused };
  if (!['set', 'pin', 'unpin'].includes(edit.edit)) return state;
  const named = edit.pattern ? findMatching(view, edit.pattern)
    : (edit.layers || []).map((name) => view.places.get(name)).filter((index) => index !== undefined);
  const indices = findMembers(view, state, named);
  if (edit.edit === 'set') {
    const bits = [...state.bits];
    for (const index of indices) if (isWithin(state, index, edit.bits)) bits[index] = edit.bits;
    return { ...state, bits };
  }
  const pinned = new Set(state.pinned);
  for (const index of indices) {
    if (edit.edit === 'pin') pinned.add(index); else pinned.delete(index);
  }
  return { ...state, pinned: [...pinned] };
}

function applyRequest(view, state, request) {
  const known = request.preview ? { ...state, bits: request.preview } : state;
  return request.edits.reduce((sum, edit) => applyEdit(view, sum, edit), known);
}

// A change that nothing else may be made one request with: a step back or forward is a step itself.
function isMergeable(request) {
  return request.sequence === null && !request.preview
    && request.edits.every((edit) => edit.edit !== 'undo' && edit.edit !== 'redo');
}

function makeWord() { return Math.random().toString(36).slice(2, 12); }

// A refusal as a person reads it here: without the path that a field has in the request.
function explain(news) {
  const found = ((news && news.problems) || []).map((problem) => problem.message).filter(Boolean);
  return found.length ? found.join('; ') : pluck(news);
}

// The word by which the server tells tabs apart. A reload keeps it, so that one's own steps can still
// be undone; a copied tab gets another, because while a tab is open the word is stored nowhere.
function takeClient() {
  const kept = sessionStorage.getItem(CLIENT);
  sessionStorage.removeItem(CLIENT);
  return kept || makeWord();
}

// hooks: changed() after everything, answered(request, before, after), refused(sentence),
// others(before, after) when somebody else changed the map, and gone() when it was deleted.
function openQueue(view, address, hooks) {
  const client = takeClient();
  const session = makeWord();
  let truth = view.state;
  let inFlight = null;
  let waiting = [];
  let failures = 0;
  let isAway = false;
  let isGone = false;
  let timer = null;
  let nextNumber = 1;
  let heardAt = Date.now();

  function listPending() { return [inFlight, ...waiting].filter(Boolean); }

  function shown() {
    return listPending().reduce((state, request) => applyRequest(view, state, request), truth);
  }

  function add(edits, { preview = null, said = null } = {}) {
    if (isGone) return;
    const last = waiting[waiting.length - 1];
    const added = { revision: truth.revision, edits, preview, said, sequence: null, errors: 0 };
    if (last && isMergeable(last) && isSameTarget(last.edits, edits)) {
      Object.assign(last, { edits, said });
    } else if (last && waiting.length >= MOST_WAITING && isMergeable(last) && isMergeable(added)
      && last.edits.length + edits.length <= MOST_EDITS) {
      Object.assign(last, { edits: [...last.edits, ...edits], said });
    } else waiting.push(added);
    hooks.changed();
    send();
  }

  function isSameTarget(before, after) {
    return before.length === 1 && after.length === 1 && before[0].edit === 'set'
      && after[0].edit === 'set' && before[0].layers && after[0].layers
      && before[0].layers.join('\n') === after[0].layers.join('\n');
  }

  // From here on the edits of a request are the ones with these numbers, wherever they are sent.
  function number(request) {
    if (request.sequence !== null) return;
    request.sequence = nextNumber;
    nextNumber += request.edits.length;
  }

  function write({ revision, sequence, edits }) {
    return JSON.stringify({ revision, client, session, sequence, edits });
  }

  function post(body, keepalive) {
    return fetch(address + '/edits', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body, keepalive,
    });
  }

  async function send() {
    if (isGone || inFlight || !waiting.length) return;
    inFlight = waiting.shift();
    number(inFlight);
    await attempt();
  }

  // Only a whole reply settles a request. Without one, or while what stands before the server answers
  // for it, the request is sent again, and so it is where only the end of a success was lost: what was
  // done is not done twice. One that the server itself fails at is given up after a while.
  async function attempt() {
    const request = inFlight;
    let reply = null;
    let news = null;
    try {
      reply = await post(write(request), false);
      news = await reply.json();
    } catch (error) {
      news = null;
    }
    if (isGone || inFlight !== request) return;
    const hasFailed = reply && reply.status === 500;
    if (hasFailed) request.errors += 1;
    if (hasFailed ? request.errors < MOST_ERRORS : isAbsent(reply) || (reply.ok && !news)) {
      isAway = !hasFailed;
      tryLater();
      return;
    }
    settle(request, reply, news);
  }

  function isAbsent(reply) { return !reply || reply.status > 500 || [408, 429].includes(reply.status); }

  function settle(request, reply, news) {
    failures = 0;
    isAway = false;
    inFlight = null;
    if (reply.status === 404) { end(); return; }
    try {
      if (reply.ok) take(news, request);
      else if (reply.status >= 500) hooks.refused(tellGivenUp(news));
      else hooks.refused(explain(news) || tellGivenUp(news));
      hooks.changed();
    } finally {
      send();
    }
  }

  function tellGivenUp(news) { return (words.given_up + ' ' + explain(news)).trim(); }

  function tryLater() {
    failures += 1;
    hooks.changed();
    clearTimeout(timer);
    timer = setTimeout(attempt, Math.min(RETRY_LAST, RETRY_FIRST * 2 ** (failures - 1)));
  }

  // The map was deleted: what waits has nowhere to go.
  function end() {
    isGone = true;
    clearTimeout(timer);
    inFlight = null;
    waiting = [];
    hooks.gone();
  }

  function take(news, request) {
    const before = truth;
    const expected = applyRequest(view, before, request);
    truth = news;
    hooks.answered(request, { before, expected, after: news });
  }

  // Returns whether nothing more is to be asked. Who has not asked for a while, as a tab that was hidden,
  // asks for everything: also what belongs to no revision may have ended meanwhile.
  async function poll() {
    if (isGone) return true;
    if (inFlight || waiting.length) return false;
    let reply = null;
    let news = null;
    try {
      const isStale = Date.now() - heardAt > STALE_AFTER;
      reply = await fetch(address + '/state' + (isStale ? '' : '?after=' + truth.revision));
      news = [204, 304].includes(reply.status) ? null : await reply.json();
    } catch (error) {
      reply = null;
    }
    if (isAbsent(reply) || reply.status === 500) setAway(true);
    else if (reply.status === 404) { if (!isGone) end(); }
    else {
      setAway(false);
      if (reply.ok) heardAt = Date.now();
      if (!reply.ok) hooks.refused(explain(news));
      else hear(news);
    }
    return isGone;
  }

  function hear(news) {
    if (!news || inFlight || waiting.length || news.revision < truth.revision) return;
    const before = truth;
    truth = news;
    if (news.revision > before.revision) hooks.others(before, news);
    hooks.changed();
  }

  function setAway(isNow) {
    if (isAway === isNow || inFlight) return;
    isAway = isNow;
    hooks.changed();
  }

  // Everything that is not known to have arrived, as one request. What was asked last was made from
  // what was seen first or later: other tabs' changes are rather kept than painted over unseen.
  function writePending() {
    const pending = listPending();
    pending.forEach(number);
    return write({ ...pending[0], edits: pending.flatMap((request) => request.edits) });
  }

  // The page goes away: what is on its way and what still waits is handed to the browser in one
  // piece, which it sends on its own. It stays here too, for a page that comes back as it was.
  function flush() {
    sessionStorage.setItem(CLIENT, client);
    if (!listPending().length) return;
    const body = writePending();
    post(body, isSmall(body)).catch(() => {});
  }

  function isSmall(body) { return new TextEncoder().encode(body).length <= MOST_KEPT_ALIVE; }

  // Whether leaving now would lose something.
  function mustStay() {
    return listPending().length > 0 && (isAway || !isSmall(writePending()));
  }

  // The page came back as it was left; in between others may have changed the map, or runs ended.
  function resume() {
    sessionStorage.removeItem(CLIENT);
    heardAt = -Infinity;
    retryNow();
  }

  function retryNow() {
    clearTimeout(timer);
    if (inFlight) attempt(); else poll();
  }

  return {
    add, shown, poll, flush, resume, retryNow, mustStay,
    truth: () => truth,
    take: (news) => { if (news.revision >= truth.revision) truth = news; hooks.changed(); },
    numWaiting: () => listPending().length,
    isWaitingFor: (kind) => listPending().some((request) => request.edits.some(
      (edit) => edit.edit === kind)),
    isAway: () => isAway,
  };
}
