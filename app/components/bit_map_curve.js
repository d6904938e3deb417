// Predicted loss against effective bits of every solved map, where this map stands, and what was
// measured: one small drawing, redrawn as the budget is dragged. It is drawn for the width it has on the
// screen, so that what is written in it is never smaller than elsewhere.
const CURVE = { width: 560, height: 170, left: 52, right: 14, top: 12, bottom: 34, least: 200 };

function makeShape(tag, properties, ...children) {
  const node = document.createElementNS(SVG_SPACE, tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

// The axes leave out the mark that moves, so that they stand still while it does.
function buildAxes(frontier, marks, width) {
  const all = [...frontier.effective_bits, ...marks.map((mark) => mark.bits)];
  const low = Math.min(...all);
  const high = Math.max(...all, low + 0.01);
  const losses = [...frontier.loss, ...marks.flatMap((mark) => [mark.loss, mark.low, mark.high])]
    .filter((value) => value !== null && value > 0);
  const most = Math.max(...losses, 1e-9);
  const least = Math.max(Math.min(...losses, most), most * 1e-5);
  const span = Math.log10(most / least) || 1;
  const clamp = (value, start, end) => Math.min(Math.max(value, start), end);
  return {
    low, high, least, most, width,
    x: (bits) => CURVE.left
      + ((width - CURVE.left - CURVE.right) * (bits - low)) / (high - low),
    y: (loss) => CURVE.height - CURVE.bottom - (CURVE.height - CURVE.bottom - CURVE.top)
      * clamp(Math.log10(Math.max(loss, least) / least) / span, 0, 1),
  };
}

function drawScale(axes, words_) {
  const bottom = CURVE.height - CURVE.bottom;
  const nodes = [];
  for (let bits = Math.ceil(axes.low); bits <= axes.high; bits += axes.high - axes.low > 8 ? 2 : 1) {
    nodes.push(makeShape('line', { x1: axes.x(bits), x2: axes.x(bits), y1: CURVE.top, y2: bottom, class: 'rule' }),
      makeShape('text', { x: axes.x(bits), y: bottom + 14, 'text-anchor': 'middle' }, String(bits)));
  }
  const first = Math.ceil(Math.log10(axes.least) - 1e-9);
  const last = Math.floor(Math.log10(axes.most) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / 4));
  for (let power = first; power <= last; power += every) {
    const y = axes.y(10 ** power);
    nodes.push(makeShape('line', { x1: CURVE.left, x2: axes.width - CURVE.right, y1: y, y2: y, class: 'rule' }),
      makeShape('text', { x: CURVE.left - 6, y: y + 4, 'text-anchor': 'end' }, writePower(power)));
  }
  nodes.push(makeShape('text', {
    x: axes.width - CURVE.right, y: CURVE.height - 4, 'text-anchor': 'end',
  }, words_.curve_axis));
  return nodes;
}

function writePower(power) {
  return power >= -2 && power <= 3 ? String(Number((10 ** power).toPrecision(1)))
    : '10' + [...String(power)].map((sign) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(sign)]).join('');
}

// marks: {bits, loss, low, high, kind: 'here' | 'measured', label}. Scale and curve are drawn once for
// a frontier, what was measured and the room there is; the marks each time.
function drawCurve(svg, frontier, marks, words_) {
  svg.redraw = () => drawCurve(svg, frontier, marks, words_);
  watchWidth(svg);
  const width = findWidth(svg);
  const measured = marks.filter((mark) => mark.kind === 'measured');
  const signature = JSON.stringify([width, measured]);
  if (svg.drawn !== frontier || svg.dataset.measured !== signature) {
    svg.drawn = frontier;
    svg.dataset.measured = signature;
    svg.setAttribute('viewBox', '0 0 ' + width + ' ' + CURVE.height);
    svg.axes = buildAxes(frontier, measured, width);
    const path = frontier.effective_bits.map((bits, place) => (place ? 'L' : 'M')
      + svg.axes.x(bits).toFixed(1) + ' ' + svg.axes.y(frontier.loss[place]).toFixed(1));
    svg.replaceChildren(...drawScale(svg.axes, words_),
      makeShape('path', { d: path.join(''), class: 'front' }), makeShape('g', { class: 'marks' }));
  }
  drawMarks(svg.lastChild, marks, svg.axes);
  return svg.axes;
}

function findWidth(svg) {
  const width = Math.round(svg.getBoundingClientRect().width);
  return width ? Math.max(width, CURVE.least) : CURVE.width;
}

// Until the drawing is shown it has no width; later the window may get another.
function watchWidth(svg) {
  if (svg.isWatched) return;
  svg.isWatched = true;
  new ResizeObserver(() => { if (svg.axes && findWidth(svg) !== svg.axes.width) svg.redraw(); })
    .observe(svg);
}

function drawMarks(group, marks, axes) {
  const nodes = [];
  for (const mark of marks) {
    const x = axes.x(mark.bits);
    const y = axes.y(mark.loss);
    if (mark.low !== null && mark.high !== null && mark.low !== undefined) {
      nodes.push(makeShape('line', {
        x1: x, x2: x, y1: axes.y(mark.low), y2: axes.y(mark.high), class: 'interval ' + mark.kind,
      }));
    }
    const shape = mark.kind === 'measured'
      ? makeShape('path', { d: 'M' + x + ' ' + (y - 5) + 'l5 5l-5 5l-5 -5z', class: 'measured' })
      : makeShape('circle', { cx: x, cy: y, r: 5, class: 'here' });
    shape.append(makeShape('title', {}, mark.label));
    nodes.push(shape);
  }
  group.replaceChildren(...nodes);
}

// Which effective bits a click on the drawing means, in the axes it was drawn with last.
function findClicked(svg, _, event) {
  const { axes } = svg;
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * axes.width;
  const share = (x - CURVE.left) / (axes.width - CURVE.left - CURVE.right);
  return axes.low + Math.min(Math.max(share, 0), 1) * (axes.high - axes.low);
}
