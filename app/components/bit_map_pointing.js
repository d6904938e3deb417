// Mouse, touch and keys over the grid. Cells are found by the events of the page itself, never by
// arithmetic over pixels, so a click counts for the cell that was under it.
const ROWS_PER_PAGE = 10;

function nextWidth(view, bits, direction) {
  const widths = view.widths;
  const at = widths.indexOf(bits);
  if (at >= 0) return widths[(at + direction + widths.length) % widths.length];
  const above = widths.find((width) => width > bits);
  const below = [...widths].reverse().find((width) => width < bits);
  return direction > 0 ? above ?? widths[0] : below ?? widths[widths.length - 1];
}

function stepWidth(view, bits, direction) {
  const widths = view.widths.filter((width) => (direction > 0 ? width > bits : width < bits));
  if (!widths.length) return bits;
  return direction > 0 ? widths[0] : widths[widths.length - 1];
}

// All cells on the straight way between two, the first left out: a quick stroke leaves no holes.
function listWay(from, to) {
  const count = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column));
  return Array.from({ length: count }, (_, place) => ({
    row: Math.round(from.row + ((to.row - from.row) * (place + 1)) / count),
    column: Math.round(from.column + ((to.column - from.column) * (place + 1)) / count),
  }));
}

function wirePointing(context) {
  const { view, grid } = context;
  const table = grid.table;
  const focus = { row: 0, column: 0 };
  let anchor = null;
  let stroke = null;

  function cellAt(row, column) {
    return table.querySelector('[data-row="' + row + '"][data-column="' + column + '"]');
  }

  function placeOf(target) {
    const cell = target && target.closest ? target.closest('[data-row]') : null;
    if (!cell || !table.contains(cell)) return null;
    const index = cell.dataset.index === undefined ? null : Number(cell.dataset.index);
    return { row: Number(cell.dataset.row), column: Number(cell.dataset.column), index, cell };
  }

  function setFocus(row, column, { isMoved = true } = {}) {
    const before = cellAt(focus.row, focus.column);
    if (before) before.tabIndex = -1;
    focus.row = row;
    focus.column = column;
    const cell = cellAt(row, column);
    cell.tabIndex = 0;
    if (isMoved) {
      cell.focus({ preventScroll: true });
      reveal(cell);
    }
    context.showDetail(grid.places.get(row + ' ' + column));
  }

  // Sticky headers cover what the browser believes to be visible.
  function reveal(cell) {
    const box = table.parentElement;
    const top = table.tHead.offsetHeight;
    const left = table.rows[0].cells[0].offsetWidth;
    if (Number(cell.dataset.row) >= 0) {
      if (cell.offsetTop < box.scrollTop + top) box.scrollTop = cell.offsetTop - top;
      const end = cell.offsetTop + cell.offsetHeight - box.clientHeight;
      if (end > box.scrollTop) box.scrollTop = end;
    }
    if (Number(cell.dataset.column) >= 0) {
      if (cell.offsetLeft < box.scrollLeft + left) box.scrollLeft = cell.offsetLeft - left;
      const end = cell.offsetLeft + cell.offsetWidth - box.clientWidth;
      if (end > box.scrollLeft) box.scrollLeft = end;
    }
    const seen = cell.getBoundingClientRect();
    if (seen.top < 0 || seen.bottom > innerHeight) cell.scrollIntoView({ block: 'nearest' });
  }

  function listAt(row, column) {
    return view.layers.flatMap((layer, index) =>
      ((row < 0 || layer.row === row) && (column < 0 || layer.column === column) ? [index] : []));
  }

  function listTargets() {
    return context.selection.size ? [...context.selection] : listAt(focus.row, focus.column);
  }

  function select(indices) {
    context.selection = new Set(indices);
    context.selected();
  }

  function clearSelection() {
    anchor = null;
    if (!context.selection.size) return false;
    select([]);
    return true;
  }

  function extend() {
    const [top, bottom] = [anchor.row, focus.row].sort((one, other) => one - other);
    const [left, right] = [anchor.column, focus.column].sort((one, other) => one - other);
    select(view.layers.flatMap((layer, index) => (layer.row >= top && layer.row <= bottom
      && layer.column >= left && layer.column <= right ? [index] : [])));
    context.say(fill(words.said_selected, { count: context.selection.size }));
  }

  function cycle(direction) {
    const targets = listTargets();
    if (!targets.length) return;
    context.set(targets, nextWidth(view, context.shown().bits[targets[0]], direction));
  }

  function step(direction) {
    const targets = listTargets();
    const state = context.shown();
    const byWidth = new Map();
    for (const index of targets) {
      const bits = stepWidth(view, state.bits[index], direction);
      byWidth.set(bits, [...(byWidth.get(bits) || []), index]);
    }
    context.setAll([...byWidth].map(([bits, indices]) => ({ bits, indices })));
  }

  // --- mouse and touch
  function begin(event) {
    const place = placeOf(event.target);
    if (!place || event.button !== 0 || event.pointerType === 'touch') return;
    if (place.row < 0 || place.column < 0) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      pickOne(place);
      return;
    }
    if (event.shiftKey) {
      setFocus(place.row, place.column);
      if (place.index !== null) context.togglePins([place.index]);
      return;
    }
    if (context.isPicking) { pickOne(place); return; }
    clearSelection();
    setFocus(place.row, place.column);
    if (place.index === null) return;
    const direction = event.altKey ? -1 : 1;
    const bits = nextWidth(view, context.shown().bits[place.index], direction);
    stroke = { bits, indices: new Set([place.index]), last: place };
    context.setStroke(stroke);
  }

  function pickOne(place) {
    if (place.index === null) return;
    setFocus(place.row, place.column);
    const kept = new Set(context.selection);
    if (kept.has(place.index)) kept.delete(place.index); else kept.add(place.index);
    select(kept);
    context.say(kept.size ? fill(words.said_selected, { count: kept.size }) : words.said_cleared);
  }

  function go(event) {
    const place = placeOf(event.target);
    if (!stroke) {
      if (event.pointerType !== 'touch') context.hover(place ? place.index : null);
      return;
    }
    if (event.buttons === 0) { end(); return; }
    if (!place || place.row < 0 || place.column < 0) return;
    if (place.row === stroke.last.row && place.column === stroke.last.column) return;
    for (const { row, column } of listWay(stroke.last, place)) {
      const index = grid.places.get(row + ' ' + column);
      if (index !== undefined) stroke.indices.add(index);
    }
    stroke.last = place;
    context.setStroke(stroke);
  }

  function end() {
    if (!stroke) return;
    const done = stroke;
    stroke = null;
    context.setStroke(null);
    context.set([...done.indices], done.bits);
  }

  // A click that no stroke stands behind: a finger, a screen reader, or a header.
  function click(event) {
    const place = placeOf(event.target);
    if (!place) return;
    if (place.row < 0 || place.column < 0) {
      setFocus(place.row, place.column);
      context.openMenu(place.cell, listAt(place.row, place.column), nameTarget(place));
    } else if (context.isPicking && event.pointerType === 'touch') pickOne(place);
    else if (event.detail === 0 || event.pointerType === 'touch') {
      setFocus(place.row, place.column);
      cycle(event.altKey ? -1 : 1);
    }
  }

  function nameTarget({ row, column }) {
    if (row < 0 && column < 0) return words.menu_all;
    if (row < 0) return fill(words.menu_column, { kind: grid.kinds[column] });
    return fill(words.menu_row, { place: nameBlock(grid.blocks[row]) });
  }

  // --- keys
  const MOVES = {
    ArrowUp: () => [focus.row - 1, focus.column], ArrowDown: () => [focus.row + 1, focus.column],
    ArrowLeft: () => [focus.row, focus.column - 1], ArrowRight: () => [focus.row, focus.column + 1],
    Home: (event) => [event.ctrlKey ? 0 : focus.row, event.ctrlKey ? 0 : -1],
    End: (event) => [event.ctrlKey ? grid.numRows - 1 : focus.row, grid.numColumns - 1],
    PageUp: () => [focus.row - ROWS_PER_PAGE, focus.column],
    PageDown: () => [focus.row + ROWS_PER_PAGE, focus.column],
  };

  function move(event) {
    const lowest = event.shiftKey ? 0 : -1;
    const [row, column] = MOVES[event.key](event);
    const start = { ...focus };
    const within = (value, least, most) => Math.min(Math.max(value, least), most);
    const first = event.key === 'PageUp' && focus.row > 0 ? 0 : lowest;
    setFocus(within(row, first, grid.numRows - 1), within(column, lowest, grid.numColumns - 1));
    if (event.shiftKey) {
      anchor = anchor || { row: Math.max(start.row, 0), column: Math.max(start.column, 0) };
      extend();
    } else if (context.selection.size) clearSelection();
    else anchor = null;
  }

  function press(event) {
    const place = placeOf(event.target);
    if (!place || event.altKey || (event.metaKey && !event.ctrlKey)) return;
    if (event.key in MOVES) move(event);
    else if (event.ctrlKey) {
      if (event.key !== 'a') return;
      select(view.layers.map((_, index) => index));
      context.say(fill(words.said_selected, { count: context.selection.size }));
    } else if (!pressKey(event, place)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  function pressKey(event, place) {
    const key = event.key.toLowerCase();
    if (/^[2-8]$/.test(key)) context.set(listTargets(), Number(key));
    else if (key === '0' || key === 'f') context.set(listTargets(), 16);
    else if (/^[19]$/.test(key)) context.say(fill(words.said_no_width, { digit: key }));
    else if (key === ' ' || key === 'enter') {
      if (place.row < 0 || place.column < 0) place.cell.click();
      else cycle(event.shiftKey ? -1 : 1);
    } else if (key === '+' || key === '=') step(1);
    else if (key === '-' || key === '−') step(-1);
    else if (key === 'o' && place.index !== null) context.openLayer(place.index);
    else if (key === 'p') context.togglePins(listTargets());
    else if (key === 'escape') {
      if (!clearSelection()) return false;
      context.say(words.said_cleared);
    } else return false;
    return true;
  }

  table.addEventListener('pointerdown', begin);
  table.addEventListener('mousedown', (event) => { if (placeOf(event.target)) event.preventDefault(); });
  table.addEventListener('pointermove', go);
  table.addEventListener('pointerleave', () => { if (!stroke) context.hover(null); });
  table.addEventListener('click', click);
  table.addEventListener('keydown', press);
  table.addEventListener('focusin', (event) => {
    const place = placeOf(event.target);
    if (place && (place.row !== focus.row || place.column !== focus.column)) {
      setFocus(place.row, place.column, { isMoved: false });
    }
  });
  context.listen(window, 'pointerup', end);
  context.listen(window, 'pointercancel', () => { stroke = null; context.setStroke(null); });
  setFocus(0, grid.numColumns ? 0 : -1, { isMoved: false });
  return { clearSelection, focusCell: () => cellAt(focus.row, focus.column).focus() };
}
