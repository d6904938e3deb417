// The grid of a bit map: a table of blocks and kinds whose cells are repainted one by one, only where
// what they show has changed. The map that is shown is `context.shown()`.
const NUM_STEPS = Object.keys(props.colors.steps).length;

// As a block computes them; checkpoints list them at will.
const USUAL_KINDS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

function orderColumns(view) {
  const placeOf = (kind) => {
    const place = USUAL_KINDS.indexOf(kind.split(' ').pop().split('.').pop());
    return place < 0 ? USUAL_KINDS.length : place;
  };
  const kinds = new Map(view.layers.map((layer) => [layer.column, layer.kind]));
  const columns = [...kinds.keys()].sort((one, other) =>
    placeOf(kinds.get(one)) - placeOf(kinds.get(other)) || one - other);
  for (const layer of view.layers) layer.column = columns.indexOf(layer.column);
}

function setColors(root) {
  for (const [bits, [ground, ink]] of Object.entries(props.colors.bits)) {
    root.style.setProperty('--w' + bits, ground);
    root.style.setProperty('--w' + bits + '-ink', ink);
  }
  for (const [step, [ground, ink]] of Object.entries(props.colors.steps)) {
    root.style.setProperty('--s' + step, ground);
    root.style.setProperty('--s' + step + '-ink', ink);
  }
}

function namePlace(view, index) {
  const layer = view.layers[index];
  if (layer.block === '') return layer.kind;
  return fill(words.cell_place, { block: layer.block, kind: layer.kind });
}

function nameBlock(block) {
  return block === '' ? words.outside_name : fill(words.block_name, { block });
}

// What a layer is expected to cost at a width; 0 unrounded, null where nothing was measured.
function findScore(layer, bits) {
  const found = layer.scores && layer.scores[bits];
  if (found) return found[0];
  return Number(bits) === 16 && layer.scores && Object.keys(layer.scores).length ? 0 : null;
}

// Steps of a logarithmic scale: over all that was measured, so that colors mean the same however a map
// is painted, or over what was measured at one width, which tells layers apart best.
function buildScale(view, bits) {
  const all = view.layers.flatMap((layer) => Object.entries(layer.scores || {})
    .filter(([width]) => !bits || width === String(bits)).map(([, [value]]) => value))
    .filter((value) => value > 0);
  all.sort((one, other) => one - other);
  if (!all.length) return { low: 1, high: 1, step: () => 0 };
  const low = all[Math.floor(all.length * 0.02)];
  const high = Math.max(all[Math.ceil(all.length * 0.98) - 1], low * 1.0001);
  const span = Math.log(high / low);
  const step = (value) => {
    if (value === null) return null;
    if (value <= low) return 0;
    return Math.min(NUM_STEPS - 1, Math.floor((NUM_STEPS * Math.log(value / low)) / span));
  };
  return { low, high, step };
}

function buildGrid(context) {
  const { view } = context;
  const places = new Map(view.layers.map((layer, index) => [layer.row + ' ' + layer.column, index]));
  const numRows = Math.max(-1, ...view.layers.map((layer) => layer.row)) + 1;
  const numColumns = Math.max(-1, ...view.layers.map((layer) => layer.column)) + 1;
  const blocks = Array.from({ length: numRows }, (_, row) => {
    const found = view.layers.find((layer) => layer.row === row);
    return found ? found.block : '';
  });
  const kinds = Array.from({ length: numColumns }, (_, column) => {
    const found = view.layers.find((layer) => layer.column === column);
    return found ? found.kind : '';
  });
  const head = make('tr', { role: 'row', 'aria-rowindex': 1 },
    make('th', {
      class: 'corner', role: 'columnheader', 'data-row': -1, 'data-column': -1, tabindex: -1,
      'aria-label': words.menu_all, 'aria-colindex': 1, 'aria-haspopup': 'menu',
    }, words.block),
    ...kinds.map((kind, column) => make('th', {
      role: 'columnheader', scope: 'col', 'data-row': -1, 'data-column': column, tabindex: -1,
      title: fill(words.menu_column, { kind }), 'aria-colindex': column + 2, 'aria-haspopup': 'menu',
      'aria-label': kind,
    }, kind.replace(/_proj$/, ''), kind.endsWith('_proj')
      ? make('span', { class: 'ending' }, '_proj') : null)));
  const cells = new Array(view.layers.length);
  const body = blocks.map((block, row) => make('tr', { role: 'row', 'aria-rowindex': row + 2 },
    make('th', {
      role: 'rowheader', scope: 'row', 'data-row': row, 'data-column': -1, tabindex: -1,
      title: fill(words.menu_row, { place: nameBlock(block) }), 'aria-label': nameBlock(block),
      'aria-colindex': 1, 'aria-haspopup': 'menu',
    }, block === '' ? words.outside : block),
    ...kinds.map((kind, column) => {
      const index = places.get(row + ' ' + column);
      const cell = make('td', {
        role: 'gridcell', 'data-row': row, 'data-column': column, tabindex: -1,
        'aria-colindex': column + 2, 'data-index': index === undefined ? null : index,
        class: index === undefined ? 'gap' : null,
        'aria-label': index === undefined ? words.no_layer : null,
      });
      if (index !== undefined) cells[index] = cell;
      return cell;
    })));
  const table = make('table', {
    role: 'grid', 'aria-label': words.label, 'aria-rowcount': numRows + 1,
    'aria-colcount': numColumns + 1, 'aria-multiselectable': 'true',
  }, make('thead', { role: 'rowgroup' }, head), make('tbody', { role: 'rowgroup' }, ...body));
  table.classList.toggle('wide', numColumns > 9);
  return { table, cells, places, numRows, numColumns, blocks, kinds, painted: [] };
}

// Which of a layer's sides touch a layer that shares its width.
function findJoins(context) {
  const { view, grid } = context;
  const isSame = (one, row, column) => {
    const other = grid.places.get(row + ' ' + column);
    return other !== undefined && one.group !== null && view.layers[other].group === one.group;
  };
  return view.layers.map((layer) => (isSame(layer, layer.row, layer.column - 1) ? ' join-left' : '')
    + (isSame(layer, layer.row, layer.column + 1) ? ' join-right' : ''));
}

function describeLimits(state, index) {
  const least = state.least[index];
  const most = state.most[index];
  if (least === undefined && most === undefined) return '';
  if (most === undefined) return fill(words.detail.least, { least });
  if (least === undefined) return fill(words.detail.most, { most });
  return fill(words.detail.limits, { least, most });
}

function paint(context) {
  const { view, grid } = context;
  const state = context.shown();
  const pinned = new Set(state.pinned);
  const isScored = context.mode === 'score';
  const compared = context.compare;
  let numPainted = 0;
  for (let index = 0; index < view.layers.length; index += 1) {
    const layer = view.layers[index];
    const bits = compared && compared.after ? compared.after[index] : state.bits[index];
    const score = findScore(layer, context.scoreAt || bits);
    const step = isScored ? context.scale.step(score) : null;
    const limits = describeLimits(state, index);
    const before = compared ? (compared.before || state.bits)[index] : bits;
    const was = before === bits ? null : before;
    const classes = (isScored ? (step === null ? 'unknown' : 's' + step) : 'w' + bits)
      + (pinned.has(index) ? ' pinned' : '') + (limits ? ' limited' : '')
      + (state.fused ? context.joins[index] : '') + (was === null ? '' : ' differs')
      + (compared && was === null ? ' same' : '') + (context.selection.has(index) ? ' selected' : '')
      + (context.flashing.has(index) ? ' flash' : '');
    const text = was === null ? String(bits) : was + '→' + bits;
    const signature = [classes, text, limits, isScored ? score : ''].join('|');
    if (grid.painted[index] === signature) continue;
    grid.painted[index] = signature;
    numPainted += 1;
    const cell = grid.cells[index];
    cell.className = classes;
    cell.textContent = text;
    cell.setAttribute('aria-label', describeCell(context, {
      index, bits, limits, was, isPinned: pinned.has(index), score: isScored ? score : undefined,
    }));
    cell.setAttribute('aria-selected', String(context.selection.has(index)));
  }
  if (numPainted) grid.table.dataset.painted = String(performance.now());
}

function describeCell(context, { index, bits, limits, was, isPinned, score }) {
  const place = namePlace(context.view, index);
  let told = fill(bits === 16 ? words.cell_16 : words.cell, { place, bits });
  if (was !== null) told += fill(words.cell_change, { before: was });
  if (isPinned) told += words.cell_pinned;
  if (limits) told += fill(words.cell_limited, { limits });
  if (score === null) told += words.cell_no_score;
  else if (score !== undefined) {
    told += fill(words.cell_score, { score: writeWithUnit(score, context.unit) });
  }
  return told;
}

function buildLegend(context) {
  const marks = [];
  if (context.mode === 'score') {
    if (!context.view.sensitivity) return [make('span', {}, words.no_scores_legend)];
    const { low, high } = context.scale;
    marks.push(make('span', { class: 'ramp' },
      make('span', {}, words.less + ' ' + writeWithUnit(low, context.unit)),
      ...Array.from({ length: NUM_STEPS }, (_, step) => make('i', { class: 's' + step })),
      make('span', {}, writeWithUnit(high, context.unit) + ' ' + words.more)));
  } else {
    const state = context.shown();
    const counts = new Map();
    for (const bits of state.bits) counts.set(bits, (counts.get(bits) || 0) + 1);
    const listed = [...new Set([...context.view.widths, ...counts.keys()])].sort((a, b) => a - b);
    marks.push(...listed.map((bits) => make('span', { class: 'key' },
      make('i', { class: 'w' + bits }, String(bits)), String(counts.get(bits) || 0))));
  }
  marks.push(make('span', { class: 'key' }, make('i', { class: 'pinned sample' }), words.pinned_legend));
  if (context.shown().fused) {
    marks.push(make('span', { class: 'key' }, make('i', { class: 'sample joined' }),
      words.fused_legend));
  }
  const { least, most } = context.shown();
  if (Object.keys(least).length || Object.keys(most).length) {
    marks.push(make('span', { class: 'key' }, make('i', { class: 'limited sample' }),
      words.limited_legend));
  }
  return marks;
}
