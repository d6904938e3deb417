// Draws props.value (see chart.py for its shapes) and keeps it drawn: new values are laid over the old
// figure, so zoom and hidden curves stay. Sets data-draws on the box, which tests wait on.
const Plotly = window.Plotly;
const box = element.querySelector('.bd-chart');
const plot = element.querySelector('.bd-chart-plot');
const empty = element.querySelector('.bd-empty');
const POLL_MILLISECONDS = 2000;
const REACH_PIXELS = 24;
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: '',
  modeBarButtonsToRemove: ['sendChartToCloud', 'lasso2d', 'select2d', 'autoScale2d'],
  displayModeBar: 'hover',
  responsive: false,
};
let figure = null;
let timer = null;
let source = null;
let draws = 0;

function pageColor(name, fallback) {
  return getComputedStyle(document.body).getPropertyValue(name).trim() || fallback;
}

function dressAxis(axis, colors) {
  return {
    gridcolor: colors.grid, linecolor: colors.grid, zerolinecolor: colors.grid, zeroline: false,
    automargin: true, tickfont: { color: colors.soft }, ...axis,
    title: typeof axis.title === 'string' ? { text: axis.title } : axis.title,
  };
}

function dressLayout(layout) {
  const colors = {
    text: pageColor('--body-text-color', '#1a1d24'),
    soft: pageColor('--body-text-color-subdued', '#5b6270'),
    grid: pageColor('--bd-grid', '#e4e6eb'),
    panel: pageColor('--background-fill-primary', '#ffffff'),
  };
  const dressed = {
    margin: { l: 56, r: 16, t: 16, b: 48 }, hovermode: 'closest', dragmode: 'zoom',
    legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
    height: props.height, ...layout,
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: 'system-ui, sans-serif', size: 12, color: colors.text },
    hoverlabel: { bgcolor: colors.panel, bordercolor: colors.grid, font: { color: colors.text } },
    modebar: { bgcolor: 'rgba(0,0,0,0)', color: colors.soft, activecolor: colors.text },
  };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  for (const key of new Set(['xaxis', 'yaxis', ...axes])) {
    dressed[key] = dressAxis(layout[key] || {}, colors);
  }
  return dressed;
}

// Without data there is no plot, neither an old one nor an empty place for one.
function showPlot(has, sentence) {
  plot.style.display = has ? '' : 'none';
  box.style.minHeight = has ? '' : '0';
  empty.hidden = !sentence;
  empty.textContent = sentence || '';
}

async function draw() {
  const data = (figure && figure.data) || [];
  const meta = (figure && figure.meta) || {};
  plot.setAttribute('role', 'group');
  plot.setAttribute('aria-label', meta.aria || props.aria || '');
  showPlot(data.length > 0, data.length > 0 ? '' : meta.empty);
  if (data.length > 0) {
    await Plotly.react(plot, data, dressLayout(figure.layout || {}), CONFIG);
    if (!plot.dataset.listens) {
      plot.dataset.listens = 'yes';
      plot.on('plotly_click', (event) => report(event.event));
    }
  }
  draws += 1;
  box.dataset.draws = String(draws);
}

// Plotly's own click data comes from a throttled hover and may name a neighbor; positions do not.
function report(event) {
  const hit = event && nearestPoint(event);
  if (hit) trigger('point_click', hit);
}

function nearestPoint(event) {
  const area = plot.getBoundingClientRect();
  let best = null;
  (plot._fullData || []).forEach((trace, curve) => {
    if (trace.visible !== true || trace.hoverinfo === 'skip' || !plot._fullLayout) return;
    const axes = axesOf(trace);
    if (!axes) return;
    const px = event.clientX - area.left - axes.x._offset;
    const py = event.clientY - area.top - axes.y._offset;
    const hit = trace.type === 'heatmap'
      ? cellAt(trace, axes, px, py) : pointAt(trace, axes, px, py);
    if (hit && (!best || hit.distance < best.distance)) best = { ...hit, curve };
  });
  if (best) delete best.distance;
  return best;
}

function axesOf(trace) {
  const named = (id, letter) => plot._fullLayout[letter + 'axis' + (id || letter).slice(1)];
  const x = named(trace.xaxis, 'x');
  const y = named(trace.yaxis, 'y');
  return x && y ? { x, y } : null;
}

function cellAt(trace, axes, px, py) {
  const column = Math.round(axes.x.p2l(px));
  const row = Math.round(axes.y.p2l(py));
  if (!trace.z[row] || trace.z[row][column] === undefined) return null;
  const details = trace.customdata && trace.customdata[row];
  return {
    distance: 0, point: row * trace.z[row].length + column, row, column,
    x: trace.x ? trace.x[column] : column, y: trace.y ? trace.y[row] : row,
    customdata: details ? details[column] : null,
  };
}

function pointAt(trace, axes, px, py) {
  let best = null;
  const count = trace.x ? trace.x.length : 0;
  for (let point = 0; point < count; point += 1) {
    const distance = Math.hypot(axes.x.d2p(trace.x[point]) - px, axes.y.d2p(trace.y[point]) - py);
    if (distance <= REACH_PIXELS && (!best || distance < best.distance)) {
      best = { distance, point, x: trace.x[point], y: trace.y[point] };
    }
  }
  if (best) best.customdata = trace.customdata ? trace.customdata[best.point] : null;
  return best;
}

async function poll() {
  timer = null;
  const asked = source;
  if (!asked || !box.isConnected) return;
  if (document.visibilityState === 'visible') {
    try {
      const reply = await fetch(asked);
      if (asked !== source) return;
      if (reply.ok) {
        const news = await reply.json();
        figure = news.figure;
        await draw();
        if (news.done) { box.dataset.done = 'yes'; return; }
      } else if (reply.status === 404) return;
    } catch (error) {
      box.dataset.offline = 'yes'; // the server is away for a moment: the next poll tries again
    }
  }
  if (asked === source) timer = setTimeout(poll, POLL_MILLISECONDS);
}

function takeValue() {
  const value = props.value || null;
  if (timer) { clearTimeout(timer); timer = null; }
  source = value && value.source_url ? value.source_url : null;
  if (source) { poll(); return; }
  figure = value;
  draw();
}

const sizes = new ResizeObserver(() => {
  if (!box.isConnected) { sizes.disconnect(); return; }
  if (plot.dataset.listens && plot.offsetWidth > 0) Plotly.Plots.resize(plot);
});
sizes.observe(box);
const mode = new MutationObserver(() => {
  if (!box.isConnected) { mode.disconnect(); return; }
  if (figure) draw();
});
mode.observe(document.body, { attributes: true, attributeFilter: ['class'] });
watch('value', takeValue);
takeValue();
