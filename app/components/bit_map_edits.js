// Changes of a bit map: applied at once here, sent one request at a time in the order in which they
// were made, and replaced by what the server answers, which has the last word.
const RETRY_FIRST = 400;
const RETRY_LAST = 5000;
const MOST_WAITING = 24;
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

// A change that must not be done twice when it is not known whether it was done.
function isRepeatable(request) {
  return request.edits.every((edit) => edit.edit !== 'undo' && edit.edit !== 'redo');
}

// The word by which the server tells tabs apart. A reload keeps it, so that one's own steps can still
// be undone; a copied tab gets another, because while a tab is open the word is stored nowhere.
function takeClient() {
  const kept = sessionStorage.getItem(CLIENT);
  sessionStorage.removeItem(CLIENT);
  return kept || Math.random().toString(36).slice(2, 12);
}

// hooks: changed() after everything, answered(request, before, after), refused(sentence), and
// others(before, after) when somebody else changed the map.
function openQueue(view, address, hooks) {
  const client = takeClient();
  let truth = view.state;
  let inFlight = null;
  let waiting = [];
  let failures = 0;
  let timer = null;

  function shown() {
    return [inFlight, ...waiting].filter(Boolean).reduce(
      (state, request) => applyRequest(view, state, request), truth);
  }

  function add(edits, { preview = null, said = null } = {}) {
    const last = waiting[waiting.length - 1];
    if (last && isSameTarget(last.edits, edits)) last.edits = edits;
    else if (last && waiting.length >= MOST_WAITING && isRepeatable(last) && !preview
      && !last.preview && isRepeatable({ edits })) last.edits = [...last.edits, ...edits];
    else waiting.push({ revision: truth.revision, edits, preview, said });
    if (last && last === waiting[waiting.length - 1]) last.said = said;
    hooks.changed();
    send();
  }

  function isSameTarget(before, after) {
    return before.length === 1 && after.length === 1 && before[0].edit === 'set'
      && after[0].edit === 'set' && before[0].layers && after[0].layers
      && before[0].layers.join('\n') === after[0].layers.join('\n');
  }

  async function post(request) {
    return fetch(address + '/edits', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, keepalive: true,
      body: JSON.stringify({ revision: request.revision, client, edits: request.edits }),
    });
  }

  async function send() {
    if (inFlight || !waiting.length) return;
    inFlight = waiting.shift();
    await attempt();
  }

  async function attempt() {
    const request = inFlight;
    try {
      if (failures && !isRepeatable(request) && await wasDone()) return;
      const reply = await post(request);
      const news = await reply.json();
      if (reply.status >= 500) throw new Error(pluck(news));
      failures = 0;
      inFlight = null;
      if (reply.ok) take(news, request);
      else hooks.refused(pluck(news));
      hooks.changed();
      send();
    } catch (error) {
      failures += 1;
      hooks.changed();
      clearTimeout(timer);
      timer = setTimeout(attempt, Math.min(RETRY_LAST, RETRY_FIRST * 2 ** (failures - 1)));
    }
  }

  // After a failure, an undo is only sent again where the map stands as it stood.
  async function wasDone() {
    const reply = await fetch(address + '/state');
    const news = await reply.json();
    if (!reply.ok) throw new Error(pluck(news));
    if (news.revision === truth.revision) return false;
    const request = inFlight;
    failures = 0;
    inFlight = null;
    take(news, request);
    hooks.changed();
    send();
    return true;
  }

  function take(news, request) {
    const before = truth;
    const expected = applyRequest(view, before, request);
    truth = news;
    hooks.answered(request, { before, expected, after: news });
  }

  async function poll() {
    if (inFlight || waiting.length) return;
    try {
      const reply = await fetch(address + '/state?after=' + truth.revision);
      if (reply.status === 304 || reply.status === 204) { recovered(); return; }
      const news = await reply.json();
      if (!reply.ok) { hooks.refused(pluck(news)); return; }
      recovered();
      if (!news || inFlight || waiting.length || news.revision < truth.revision) return;
      const before = truth;
      truth = news;
      if (news.revision > before.revision) hooks.others(before, news);
      hooks.changed();
    } catch (error) {
      if (!failures) { failures = 1; hooks.changed(); }
    }
  }

  function recovered() {
    if (failures && !inFlight) { failures = 0; hooks.changed(); }
  }

  // The page goes away: what still waits is handed to the browser, which sends it on its own.
  function flush() {
    sessionStorage.setItem(CLIENT, client);
    if (!waiting.length) return;
    const edits = waiting.flatMap((request) => request.edits);
    const revision = waiting[0].revision;
    waiting = [];
    post({ revision, edits });
  }

  // The page came back as it was left; in between others may have changed the map.
  function resume() {
    sessionStorage.removeItem(CLIENT);
    poll();
  }

  function retryNow() {
    clearTimeout(timer);
    if (inFlight) attempt(); else poll();
  }

  return {
    add, shown, poll, flush, resume, retryNow,
    truth: () => truth,
    take: (news) => { if (news.revision >= truth.revision) truth = news; hooks.changed(); },
    numWaiting: () => waiting.length + (inFlight ? 1 : 0),
    isAway: () => failures > 0,
  };
}
