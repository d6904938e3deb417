// Builds elements from data without ever reading it as HTML: strings become text nodes. Shared by the
// tables, the header of a run, its facts and its log; joined in front of their files.
const SVG_SPACE = 'http://www.w3.org/2000/svg';
const ICONS = {
  draft: 'M5 19l1-4L16 5l3 3L9 18z',
  queued: 'M12 3a9 9 0 1 0 .01 0M12 7.5V12l3 2',
  running: 'M12 3a9 9 0 1 0 .01 0M10 8.5v7l5.5-3.5z',
  succeeded: 'M5 12.5l4.5 4.5L19 7.5',
  failed: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  cancelled: 'M12 3a9 9 0 1 0 .01 0M5.7 18.3L18.3 5.7',
  cancel: 'M6 6h12v12H6z',
  retry: 'M4.5 12a7.5 7.5 0 1 0 2.4-5.5M4 4v4.5h4.5',
  clone: 'M9 9h11v11H9zM5 15H4V4h11v1',
  delete: 'M5 7h14M10 11v6M14 11v6M7 7l1 13h8l1-13M9 7V4h6v3',
  plus: 'M12 5v14M5 12h14',
  download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  columns: 'M4 5h16v14H4zM9.5 5v14M14.5 5v14',
  back: 'M14.5 6l-6 6 6 6',
  now: 'M12 8.5a3.5 3.5 0 1 0 .01 0',
  todo: 'M12 6a6 6 0 1 0 .01 0',
};

function make(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') node.className = value;
    else if (typeof value === 'function') node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function makeIcon(name) {
  const svg = document.createElementNS(SVG_SPACE, 'svg');
  const path = document.createElementNS(SVG_SPACE, 'path');
  for (const [key, value] of Object.entries({
    viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': '2',
    'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true', class: 'icon',
  })) svg.setAttribute(key, value);
  path.setAttribute('d', ICONS[name] || '');
  svg.append(path);
  return svg;
}

function makeBadge(state, text) {
  return make('span', { class: 'state state-' + state }, makeIcon(state), text);
}

// Replaces {name} in a sentence from app/text.
function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

// Puts new children in only where what they show has changed, so that nothing flickers.
const shownIn = new WeakMap();
function refill(node, signature, build) {
  const written = JSON.stringify(signature);
  if (shownIn.get(node) === written) return;
  shownIn.set(node, written);
  node.replaceChildren(...[build()].flat().filter((child) => child !== null));
}

function writeSeconds(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 10) return Math.max(seconds, 0).toFixed(1) + ' s';
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, '0');
  if (whole < 60) return whole + ' s';
  if (whole < 3600) return Math.floor(whole / 60) + ' min ' + two(whole % 60) + ' s';
  if (whole < 86400) {
    return Math.floor(whole / 3600) + ' h ' + two(Math.floor((whole % 3600) / 60)) + ' min';
  }
  return Math.floor(whole / 86400) + ' d ' + Math.floor((whole % 86400) / 3600) + ' h';
}

// The visitor's own time zone; today's times without the date.
function writeMoment(text) {
  if (!text) return '–';
  const moment = new Date(text);
  const isToday = moment.toDateString() === new Date().toDateString();
  const time = { hour: '2-digit', minute: '2-digit', hour12: false };
  const date = isToday ? {} : { month: 'short', day: 'numeric' };
  return new Intl.DateTimeFormat(undefined, { ...date, ...time }).format(moment);
}

function isVisible() {
  return document.visibilityState === 'visible';
}

// Calls `step` every so often while the page is visible, at once when it becomes so, and ends with
// the element. `step` returns true to end earlier; what it throws is no end.
function repeat(milliseconds, step) {
  let timer = null;
  let isBusy = false;
  let hasEnded = false;
  const wake = async () => {
    clearTimeout(timer);
    if (hasEnded || isBusy) return;
    if (!element.isConnected) { stop(); return; }
    try {
      isBusy = true;
      if (isVisible() && await step()) stop();
    } finally {
      isBusy = false;
      if (!hasEnded) timer = setTimeout(wake, milliseconds);
    }
  };
  const stop = () => {
    hasEnded = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', wake);
  };
  document.addEventListener('visibilitychange', wake);
  wake();
  return { wake, stop };
}

async function copyText(text, button, word) {
  try {
    await navigator.clipboard.writeText(text);
  } catch (error) {
    const area = make('textarea', { style: 'position:fixed;opacity:0' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  const label = button.querySelector('.label') || button;
  const before = button.dataset.label || label.textContent;
  button.dataset.label = before;
  label.textContent = word;
  setTimeout(() => { label.textContent = before; }, 1500);
}

function pluck(sentenceOrReply) {
  if (!sentenceOrReply) return '';
  return sentenceOrReply.message || (typeof sentenceOrReply === 'string' ? sentenceOrReply : '');
}
