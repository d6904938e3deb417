// What stands beside the grid and only tells: the layer one is at, what the model weighs, and what
// was predicted and measured of this map.
const ALWAYS_TOLD = ['head', 'adapters'];
const PARTS = ['weights', 'scales', 'zero_points', 'embeddings', 'head', 'adapters', 'other'];

function buildDetail(context) {
  const told = words.detail;
  const body = make('div', { class: 'detail-body' });
  const widthButtons = new Map();
  const pin = make('button', { class: 'bd-button', type: 'button', click: () => {
    context.togglePins(targets());
  } });
  const pick = make('button', {
    class: 'bd-button', type: 'button', title: told.pick_hint, click: () => {
      context.isPicking = !context.isPicking;
      if (context.isPicking) context.say(told.pick_hint); else context.select([]);
      show();
    },
  });
  const widths = make('div', { class: 'menu-widths' });
  const controls = make('div', { class: 'line layer-controls', hidden: true }, widths,
    make('span', { class: 'grow' }), pin, pick);
  const card = make('section', { class: 'card detail', 'aria-label': told.title }, body, controls);
  let focused = null;
  let hovered = null;

  function targets() {
    return context.selection.size ? [...context.selection] : [hovered ?? focused];
  }

  // The buttons stay the same ones, so that one that was pressed keeps the focus.
  function showControls(index, bits) {
    controls.hidden = false;
    const state = context.shown();
    const known = [...new Set([...context.view.widths, ...(widthButtons.keys()), bits])]
      .sort((one, other) => one - other);
    for (const width of known) {
      if (!widthButtons.has(width)) {
        widthButtons.set(width, make('button', {
          class: 'w' + width, type: 'button', click: () => context.set(targets(), width),
        }, String(width)));
      }
    }
    const listed = known.map((width) => widthButtons.get(width));
    if (widths.children.length !== listed.length) widths.replaceChildren(...listed);
    for (const [width, button] of widthButtons) {
      button.setAttribute('aria-pressed', String(!context.selection.size && width === bits));
      button.setAttribute('aria-label', context.selection.size
        ? fill(told.set_selected, { count: context.selection.size, bits: width })
        : fill(told.set, { place: namePlace(context.view, index), bits: width }));
    }
    pin.textContent = targets().every((each) => state.pinned.includes(each)) ? told.unpin : told.pin;
    pick.textContent = context.isPicking ? told.pick_end : told.pick;
    pick.setAttribute('aria-pressed', String(Boolean(context.isPicking)));
  }

  function show() {
    const index = hovered ?? focused;
    if (index === null || index === undefined) {
      controls.hidden = true;
      refill(body, ['none'], () => [make('p', { class: 'soft' }, told.hint)]);
      return;
    }
    const layer = context.view.layers[index];
    const state = context.shown();
    const bits = state.bits[index];
    const isPinned = state.pinned.includes(index);
    const limits = describeLimits(state, index);
    const group = state.fused && layer.group !== null
      ? context.view.layers.filter((other) => other.group === layer.group && other !== layer)
        .map((other) => other.kind) : [];
    showControls(index, bits);
    refill(body, [index, bits, isPinned, limits, group, layer.scores, context.scoresOf], () => [
      make('div', { class: 'line' }, make('h2', {}, layer.name), make('span', { class: 'grow' }),
        makeLink(layer)),
      make('p', { class: 'soft small' }, [
        fill(told.weights, { count: writeFixed(layer.num_weights, 0) }),
        fill(told.present, { bits }), isPinned ? told.pinned : '', limits,
        group.length ? fill(told.group, { names: group.join(', ') }) : '',
      ].filter(Boolean).join(' · ')),
      makeScores(layer, bits)]);
  }

  function makeLink(layer) {
    const address = findPage(layer);
    return address && make('a', { href: address, class: 'small' }, told.open);
  }

  function findPage(layer) {
    const source = context.view.sensitivity;
    if (!source || !source.run) return null;
    return '/layer?' + new URLSearchParams({ run: String(source.run), name: layer.name });
  }

  // The present width stands among them also where nothing was measured at it.
  function makeScores(layer, bits) {
    const scored = Object.keys(layer.scores || {}).map(Number)
      .filter((width) => layer.scores[width][0] !== null);
    const listed = [...new Set([...scored, bits])].sort((one, other) => one - other);
    if (!scored.length) return make('p', { class: 'soft small' }, told.no_scores);
    const step = (width) => context.wholeScale.step(layer.scores[width][0]);
    return make('dl', { class: 'scores' }, ...listed.map((width) => make('div', {
      class: width === bits ? 'now' : null,
    }, make('dt', {}, make('i', { class: 'w' + width }, String(width))),
    !scored.includes(width) ? make('dd', {}, writeFigure(findScore(layer, width)))
      : make('dd', {}, make('i', { class: 'bead s' + step(width) }),
      writeFigure(layer.scores[width][0]),
      layer.scores[width][1] ? make('span', { class: 'soft' },
        ' ± ' + writeFigure(layer.scores[width][1])) : null))));
  }

  return {
    card, show,
    open: (index) => {
      const address = findPage(context.view.layers[index]);
      if (address) location.assign(address); else context.warn(told.no_page);
    },
    focus: (index) => { focused = index; hovered = null; show(); },
    hover: (index) => { if (hovered !== index) { hovered = index; show(); } },
  };
}

function buildLedger(context) {
  const told = words.ledger;
  const headline = make('p', { class: 'size-line' });
  const bar = make('div', { class: 'parts-bar', role: 'img' });
  const body = make('tbody');
  const card = make('section', { class: 'card ledger', 'aria-labelledby': 'ledger-title' },
    make('h2', { id: 'ledger-title' }, told.title), headline, bar,
    make('table', {}, make('thead', { class: 'visually-hidden' }, make('tr', {},
      make('th', { scope: 'col' }, told.part), make('th', { scope: 'col' }, told.size),
      make('th', { scope: 'col' }, told.share))), body));

  function show() {
    const ledger = context.ledger();
    const known = [...PARTS.filter((part) => part in ledger.parts),
      ...Object.keys(ledger.parts).filter((part) => !PARTS.includes(part))];
    const parts = known.filter((part) => ledger.parts[part] > 0);
    const listed = known.filter((part) => parts.includes(part) || ALWAYS_TOLD.includes(part));
    const name = (part) => told[part] || part;
    refill(headline, [ledger.total, ledger.original, ledger.effective_bits, ledger.nominal_bits], () => [
      make('strong', { class: 'total' }, writeBytes(ledger.total)), ' ',
      make('span', { class: 'soft' }, fill(told.against, {
        share: writeShare(ledger.total, ledger.original), original: writeBytes(ledger.original),
      })),
      make('span', { class: 'bits-line', title: told.bits },
        make('strong', { class: 'effective' }, writeEffective(ledger.effective_bits)), ' ',
        make('span', { class: 'soft' }, told.effective),
        make('br'), make('strong', {}, writeEffective(ledger.nominal_bits)), ' ',
        make('span', { class: 'soft' }, told.nominal))]);
    const base = Math.max(ledger.original, ledger.total);
    refill(bar, parts.map((part) => [part, ledger.parts[part], base]), () => parts.map((part) =>
      make('i', { class: 'part-' + part, style: 'width:' + (100 * ledger.parts[part]) / base + '%',
        title: name(part) + ': ' + writeBytes(ledger.parts[part]) })));
    bar.setAttribute('aria-label', fill(told.bar, {
      total: writeBytes(ledger.total),
      parts: parts.map((part) => name(part) + ' ' + writeBytes(ledger.parts[part])).join(', '),
    }));
    refill(body, [ledger.parts, ledger.total], () => listed.map((part) => make('tr', {},
      make('th', { scope: 'row' }, make('i', { class: 'swatch part-' + part }), name(part)),
      make('td', { class: 'number' }, writeBytes(ledger.parts[part])),
      make('td', { class: 'number soft' }, writeShare(ledger.parts[part], ledger.total)))));
  }

  return { card, show };
}

function buildChecks(context) {
  const told = words.checks;
  const button = make('button', { class: 'primary', type: 'button', click: verify }, told.verify);
  const said = make('p', { class: 'soft small', role: 'status', hidden: true });
  const refusal = makeRefusal();
  const body = make('div', { class: 'scroll' });
  const card = make('section', { class: 'card checks', 'aria-labelledby': 'checks-title' },
    make('div', { class: 'line' }, make('h2', { id: 'checks-title' }, told.title),
      make('span', { class: 'grow' }), button),
    make('p', { class: 'soft small' }, told.lead), refusal, said, body);

  async function verify() {
    const news = await holding(button, () => context.ask('/verify', {}, refusal));
    if (!news) return;
    const check = context.queue.truth().checks.find((each) => each.run === news.run);
    const isMeasured = check !== undefined && check.state === 'succeeded';
    const sentence = fill(isMeasured ? told.known : told.queued, { id: news.run });
    said.hidden = false;
    said.replaceChildren(make('a', { href: '/run?id=' + news.run }, sentence));
    context.say(sentence);
    context.reload();
  }

  function judge(check) {
    if (check.measured === null || check.low === null || check.high === null) return null;
    const error = 1.96 * (check.measured_error || 0);
    const isInside = check.measured + error >= check.low && check.measured - error <= check.high;
    return make('span', { class: 'badge ' + (isInside ? 'badge-tuned' : 'badge-limit') },
      isInside ? told.inside : told.outside);
  }

  function tellTexts(check) {
    return check.scored_on ? fill(told.texts, {
      scored: check.scored_on, measured: check.measured_on,
    }) : null;
  }

  function makeRow(check) {
    const { revision } = context.queue.truth();
    return make('tr', {},
      make('th', { scope: 'row' }, check.run === null ? '–'
        : make('a', { href: '/run?id=' + check.run }, '#' + check.run), ' ',
      check.state && check.state !== 'succeeded'
        ? makeBadge(check.state, props.states[check.state]) : null,
      check.revision === revision ? make('span', { class: 'badge badge-set' }, told.present) : null),
      make('td', { class: 'number' }, writeEffective(check.effective_bits)),
      make('td', { class: 'number' }, writeFigure(check.predicted), check.low === null ? null
        : make('span', { class: 'note' }, writeFigure(check.low) + ' – ' + writeFigure(check.high))),
      make('td', { class: 'number', title: tellTexts(check) }, writeFigure(check.measured),
        check.measured_error ? make('span', { class: 'note' }, '± ' + writeFigure(check.measured_error))
          : null, judge(check), check.note ? make('span', { class: 'note' }, check.note) : null),
      make('td', { class: 'number' }, writeFigure(check.perplexity)));
  }

  function show() {
    const { checks, revision } = context.queue.truth();
    refill(body, [checks, revision], () => (checks.length ? make('table', {},
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, told.run),
        ...['bits', 'predicted', 'measured', 'perplexity'].map((name) => make('th', {
          scope: 'col', class: 'number',
        }, told[name], ['predicted', 'measured'].includes(name) && context.unit
          ? make('span', { class: 'soft' }, ' (' + context.unit + ')') : null)))),
      make('tbody', {}, ...checks.map(makeRow))) : make('p', { class: 'soft small' }, told.none)));
  }

  return { card, show };
}
