// The budget: a slider and a box in one of four units. While it is dragged the server solves without
// storing, one question at a time and the newest wins; letting go is one change of the map, and none
// where the slider is back where it was or the server refused the budget. Keys count as let go after
// a pause.
const UNITS = ['bits', 'mib', 'model-mib', 'percent'];
const REMEMBERED_UNIT = 'bitdial-budget-unit';
const NUM_SLIDER_STEPS = 300;
const KEY_PAUSE = 600;
const MIB_OF = { kib: 1 / 1024, mib: 1, gib: 1024 };

// What a person typed: an amount with a unit or without, or the sentence to say why it is none.
function readAmount(text, unit) {
  const told = words.budget;
  const typed = text.trim();
  if (!typed) return { problem: told.amount_missing };
  const shown = JSON.stringify(typed.slice(0, 30));
  const found = /^(\d[\d.,]*|\.\d+)(e[+-]?\d+)?\s*(\D*)$/i.exec(typed);
  if (!found) return { problem: fill(told.amount_bad, { text: shown }) };
  if (/,.*[,.]|\..*[,.]/.test(found[1]) || /^[1-9]\d{0,2},\d{3}$/.test(found[1])) {
    return { problem: fill(told.amount_separated, { text: shown }) };
  }
  const amount = Number(found[1].replace(',', '.') + (found[2] || ''));
  if (!Number.isFinite(amount)) return { problem: fill(told.amount_bad, { text: shown }) };
  const named = found[3].toLowerCase().replace(/^effective\s+/, '').trim();
  if (!named) return { amount, unit };
  if (named === 'bit' || named === 'bits') return { amount, unit: 'bits' };
  if (named === '%') return { amount, unit: 'percent' };
  if (!Object.hasOwn(MIB_OF, named)) return { problem: fill(told.unit_unknown, { text: shown }) };
  return { amount: amount * MIB_OF[named], unit: unit === 'model-mib' ? unit : 'mib' };
}

function buildBudget(context) {
  const { view } = context;
  const told = words.budget;
  const numWeights = view.layers.reduce((sum, layer) => sum + layer.num_weights, 0);
  const kept = localStorage.getItem(REMEMBERED_UNIT);
  let unit = UNITS.includes(kept) ? kept : 'bits';
  let frontier = null;
  let frontierOf = '';
  let axes = null;
  let isDragging = false;
  let wanted = null;
  let isAsking = false;
  let committing = null;
  let isTyping = false;
  let isByKey = false;
  let startedAt = '';
  let shownAt = '';
  let pause = null;

  // Let go without a `change`: browsers send none where the thumb is back where it was.
  const letGo = () => setTimeout(settle, 0);
  const slider = make('input', {
    type: 'range', class: 'slider', 'aria-label': told.slider, input: drag, change: release,
    pointerdown: () => { settle(); isByKey = false; }, keydown: pressed,
    blur: letGo,
  });
  for (const event of ['pointerup', 'pointercancel']) {
    context.listen(document, event, () => { if (isDragging && !isByKey) letGo(); });
  }
  const box = make('input', {
    type: 'text', inputmode: 'decimal', class: 'field amount', 'aria-label': told.amount,
    autocomplete: 'off', keydown: (event) => { if (event.key === 'Enter') typed(); }, change: typed,
    input: () => { isTyping = true; }, 'aria-describedby': 'budget-problem',
  });
  const chooser = make('select', { class: 'field', 'aria-label': told.unit, change: chooseUnit },
    ...UNITS.map((name) => make('option', { value: name }, told[name])));
  chooser.value = unit;
  const smallest = make('button', { type: 'button', class: 'bound', click: () => commit(bounds().low) });
  const largest = make('button', { type: 'button', class: 'bound', click: () => commit(bounds().high) });
  const problem = make('p', {
    class: 'refusal', id: 'budget-problem', role: 'alert', hidden: true,
  });
  const prediction = make('div', { class: 'prediction', 'aria-live': 'off' });
  const svg = makeShape('svg', {
    viewBox: '0 0 ' + CURVE.width + ' ' + CURVE.height, class: 'curve', role: 'img',
  });
  svg.addEventListener('click', (event) => {
    if (axes) commit(fromBytes((findClicked(svg, axes, event) * numWeights) / 8));
  });
  const controls = make('div', { class: 'controls' },
    make('div', { class: 'line' }, box, chooser, make('span', { class: 'grow' })),
    slider, make('div', { class: 'bounds' }, smallest, make('span', { class: 'grow' }), largest),
    problem);
  const asked = make('div', {});
  const unscored = make('p', { class: 'soft' }, told.no_scores, ' ',
    make('a', { href: '/sensitivity?model=' + encodeURIComponent(view.model) }, told.measure));
  const card = make('section', { class: 'card budget', 'aria-labelledby': 'budget-title' },
    make('h2', { id: 'budget-title' }, told.title),
    asked, prediction, svg);

  // Bytes of the quantized layers in the chosen unit, and back.
  function others(ledger) { return ledger.total - ledger.quantized; }
  function fromBytes(bytes) {
    if (unit === 'bits') return (bytes * 8) / numWeights;
    if (unit === 'mib') return bytes / MIB;
    if (unit === 'percent') return (100 * bytes) / (2 * numWeights);
    return (bytes + others(context.ledger())) / MIB;
  }
  function bounds() {
    const ledger = context.ledger();
    const round = (value, up) => {
      const scale = 10 ** decimals(value);
      return (up ? Math.ceil(value * scale - 1e-6) : Math.floor(value * scale + 1e-6)) / scale;
    };
    const low = fromBytes(ledger.smallest - others(ledger));
    const high = fromBytes(ledger.largest - others(ledger));
    return { low: round(low, true), high: Math.max(round(high, true), round(low, true)) };
  }
  function decimals(value) {
    if (unit === 'bits') return 2;
    return value >= 100 ? 1 : 2;
  }
  function write(value) { return value.toFixed(decimals(value)).replace(/\.?0+$/, ''); }

  function chooseUnit() {
    settle();
    takeUnit(chooser.value);
    isTyping = false;
    showProblem('');
    show();
  }

  function takeUnit(name) {
    unit = name;
    chooser.value = name;
    localStorage.setItem(REMEMBERED_UNIT, name);
  }

  // Steps are round numbers, so the ends of the slider lie a little beyond what is possible.
  function chosen() {
    const { low, high } = bounds();
    return Number(Math.min(Math.max(Number(slider.value), low), high).toFixed(4));
  }

  function isSolving() { return committing !== null || context.queue.isWaitingFor('solve'); }

  function drag() {
    clearTimeout(pause);
    if (!isDragging) startedAt = isSolving() ? '' : shownAt;
    isDragging = true;
    isTyping = false;
    wanted = chosen();
    box.value = write(wanted);
    slider.style.setProperty('--share', share() + '%');
    ask();
  }

  function share() {
    const [low, high] = [Number(slider.min), Number(slider.max)];
    return (100 * (Number(slider.value) - low)) / (high - low || 1);
  }

  function findStep(span) {
    const raw = span / NUM_SLIDER_STEPS || 0.01;
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((step) => step * power >= raw * 0.999);
  }

  async function ask() {
    if (isAsking || wanted === null) return;
    isAsking = true;
    const asked = { amount: wanted, unit };
    wanted = null;
    try {
      const reply = await fetch(
        context.address + '/solution?amount=' + asked.amount + '&unit=' + asked.unit);
      const news = await reply.json();
      if (reply.ok) takeSolution(news, asked);
      else if (reply.status === 404) context.queue.poll();
      else if (reply.status < 500) refuse(explain(news), asked);
    } catch (error) {
      if (isDragging) showProblem(words.offline);
    }
    isAsking = false;
    if (wanted !== null) ask();
    else if (committing !== null) send();
  }

  function takeSolution(news, asked) {
    if (!isDragging && committing === null) return;
    showProblem('');
    context.preview = { ...news, ...asked };
    context.refresh();
  }

  // What was refused is not asked for again as a change.
  function refuse(sentence, asked) {
    if (!isDragging && committing === null) return;
    showProblem(sentence);
    if (!isSame(committing, asked)) return;
    committing = null;
    context.preview = null;
    context.refresh();
  }

  function isSame(one, other) {
    return one !== null && other !== null && one.amount === other.amount && one.unit === other.unit;
  }

  // Each key sends a `change` of its own.
  function pressed(event) {
    isByKey = true;
    if (event.ctrlKey || event.metaKey) settleNow();
  }

  function release() {
    if (!isDragging && (isSolving() || slider.value === shownAt)) return;
    if (!isDragging) drag();
    if (isByKey) pause = setTimeout(settle, KEY_PAUSE);
    else settle();
  }

  function settle() {
    clearTimeout(pause);
    if (!isDragging) return;
    if (slider.value !== startedAt) { commit(chosen()); return; }
    isDragging = false;
    wanted = null;
    context.preview = null;
    showProblem('');
    context.refresh();
  }

  // Something else comes next, so that the change cannot wait for the server's solution.
  function settleNow() {
    settle();
    if (committing !== null) { wanted = null; send(); }
  }

  function typed() {
    if (!isTyping) return;
    const read = readAmount(box.value, unit);
    if (read.problem) {
      showProblem(read.problem);
      if (box.value.trim()) return;
      isTyping = false;
      show();
      return;
    }
    isTyping = false;
    showProblem('');
    if (read.unit !== unit) { settle(); takeUnit(read.unit); }
    if (write(read.amount) === write(present())) show();
    else commit(read.amount);
  }

  function commit(amount) {
    isDragging = false;
    isTyping = false;
    showProblem('');
    committing = { amount, unit };
    if (!isSame(context.preview, committing)) wanted = amount;
    if (!isAsking && wanted === null) send();
    else ask();
  }

  function send() {
    const budget = committing;
    committing = null;
    const known = isSame(context.preview, budget) ? context.preview.bits : null;
    context.preview = null;
    context.queue.add([{ edit: 'solve', budget }], { preview: known, said: { kind: 'solve' } });
  }

  function showProblem(sentence) {
    problem.hidden = !sentence;
    problem.textContent = sentence;
    box.setAttribute('aria-invalid', String(Boolean(sentence)));
  }

  // The amount that was asked for while the map still is its answer, else what the map takes.
  function present() {
    const size = fromBytes(context.ledger().quantized);
    const { budget } = context.queue.truth();
    if (!context.preview && budget && budget.unit === unit
      && budget.amount >= size && budget.amount < size * 1.02) return budget.amount;
    return size;
  }

  function show() {
    refill(asked, [Boolean(view.sensitivity)], () => (view.sensitivity ? controls : unscored));
    const { low, high } = bounds();
    const amount = present();
    const step = findStep(high - low);
    slider.step = String(Number(step.toPrecision(6)));
    slider.min = String(Number((Math.floor(low / step + 1e-6) * step).toPrecision(9)));
    slider.max = String(Number((Math.ceil(high / step - 1e-6) * step).toPrecision(9)));
    if (!isDragging && committing === null) {
      slider.value = String(amount);
      shownAt = slider.value;
      if (!isTyping) box.value = write(amount);
    }
    slider.style.setProperty('--share', share() + '%');
    slider.setAttribute('aria-valuetext', write(chosen()) + ' ' + told[unit]);
    const short = ' ' + told[unit + '_short'];
    smallest.textContent = fill(told.smallest, { value: write(low) + short });
    largest.textContent = fill(told.largest, { value: write(high) + short });
    showPrediction();
    showCurve();
    loadFrontier();
  }

  function showPrediction() {
    const found = context.prediction();
    refill(prediction, [found, context.unit], () => {
      if (!found || found.value === null) {
        return found && found.note ? [make('p', { class: 'soft' }, found.note)] : [];
      }
      const status = found.corrected_by === 0 ? told.not_verified
        : fill(found.corrected_by === 1 ? told.corrected_one : told.corrected,
          { count: found.corrected_by });
      const lines = [make('p', { class: 'loss' }, make('span', { class: 'soft' }, fill(told.predicted, { metric: context.metricName })),
        make('strong', {}, writeWithUnit(found.value, context.unit)),
        found.low === null ? null : make('span', { class: 'soft' }, fill(told.between,
          { low: writeFigure(found.low), high: writeFigure(found.high) })),
        make('span', { class: 'badge' + (found.corrected_by ? ' badge-tuned' : '') }, status))];
      const more = [];
      if (found.gap !== null) {
        more.push(found.gap > 1e-6 * Math.abs(found.value)
          ? fill(told.gap, { gap: writeWithUnit(found.gap, context.unit) }) : told.gap_none);
      }
      if (found.next_gain !== null && found.next_gain > 0 && found.next_layers.length) {
        more.push(fill(told.next, {
          gain: writeWithUnit(found.next_gain, context.unit),
          layers: writeSome(found.next_layers, 3, words.other_more),
        }));
      }
      if (found.note) more.push(found.note);
      if (more.length) lines.push(make('p', { class: 'soft small' }, more.join(' ')));
      return lines;
    });
  }

  function showCurve() {
    svg.toggleAttribute('hidden', !frontier || !frontier.loss.length);
    if (!frontier || !frontier.loss.length) return;
    const found = context.prediction();
    const bits = context.ledger().effective_bits;
    const marks = context.queue.truth().checks.filter((check) => check.measured !== null)
      .map((check) => ({
        kind: 'measured', bits: check.effective_bits, loss: check.measured,
        low: check.measured_error === null ? null : check.measured - 1.96 * check.measured_error,
        high: check.measured_error === null ? null : check.measured + 1.96 * check.measured_error,
        label: told.curve_measured + ': ' + writeWithUnit(check.measured, context.unit),
      }));
    if (found && found.value !== null) {
      marks.push({
        kind: 'here', bits, loss: found.value, low: found.low, high: found.high,
        label: told.curve_here + ': ' + writeWithUnit(found.value, context.unit),
      });
    }
    axes = drawCurve(svg, frontier, marks, told);
    svg.setAttribute('aria-label', fill(told.curve_label, {
      bits: writeEffective(bits), loss: found ? writeWithUnit(found.value, context.unit) : '–',
    }));
  }

  // The curve belongs to pins, limits and sharing, to the scores and to what measurements taught; it is
  // asked for again when one of them changes.
  async function loadFrontier() {
    if (!view.sensitivity) return;
    const { pinned, least, most, fused, bits, scores, prediction: found } = context.queue.truth();
    const held = pinned.map((index) => [index, bits[index]]);
    const learned = found ? found.corrected_by : 0;
    const key = JSON.stringify([held, least, most, fused, scores, learned]);
    if (key === frontierOf) return;
    frontierOf = key;
    try {
      const reply = await fetch(context.address + '/frontier');
      if (!reply.ok) return;
      frontier = await reply.json();
      showCurve();
    } catch (error) {
      frontierOf = '';
    }
  }

  return { card, show, settleNow };
}
