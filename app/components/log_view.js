// The log of props.value.run_id: reads new lines every 2 seconds until the run has ended and all are
// here. Follows the end unless the reader scrolled up. Sets data-lines, which tests wait on.
const words = props.words;
const root = element.querySelector('.log');
const MOST_LINES = 5000;
const CHUNK = 500;
let shown = '';
let lastId = 0;
let lastAttempt = 0;
let poller = null;
let round = 0;

const level = make('select', { class: 'field', 'aria-label': words.level },
  ...props.levels.map((name) => make('option', { value: name }, name)));
level.value = 'info';
const searchBox = make('input', {
  class: 'field', type: 'search', placeholder: words.search, 'aria-label': words.search,
});
const follow = make('input', { type: 'checkbox' });
follow.checked = true;
const lines = make('div', { class: 'lines', role: 'log', 'aria-label': words.lines, tabindex: 0 });
const vacant = make('p', { class: 'vacant' }, words.empty);
root.append(make('div', { class: 'toolbar' }, make('h2', {}, words.title),
  make('span', { class: 'grow' }), level, searchBox, make('label', {}, follow, words.follow)), lines);
lines.append(vacant);

function restart() {
  const value = props.value;
  const wanted = value ? JSON.stringify([value.run_id, value.attempt, level.value]) : '';
  if (wanted === shown) return;
  shown = wanted;
  round += 1;
  lastId = 0;
  lastAttempt = 0;
  lines.replaceChildren(vacant);
  if (poller) poller.stop();
  const mine = round;
  if (value) poller = repeat(2000, () => read(value.run_id, mine));
}

async function read(runId, mine) {
  for (;;) {
    const query = new URLSearchParams({ after_id: lastId, level: level.value, limit: CHUNK });
    const reply = await fetch('/api/v1/runs/' + runId + '/log?' + query).catch(() => null);
    if (mine !== round) return true;
    if (!reply) return false;
    if (!reply.ok) return reply.status === 404;
    const news = await reply.json();
    if (mine !== round) return true;
    add(news.lines);
    lastId = news.last_id;
    if (news.is_ended) return true;
    if (news.lines.length < CHUNK) return false;
  }
}

function add(found) {
  const isAtEnd = follow.checked;
  for (const line of found) {
    if (lastAttempt && line.attempt !== lastAttempt) {
      lines.append(make('div', { class: 'attempt' }, fill(words.attempt, { number: line.attempt })));
    }
    lastAttempt = line.attempt;
    lines.append(makeLine(line));
  }
  const held = lines.querySelectorAll('.line');
  for (let at = 0; at < held.length - MOST_LINES; at += 1) held[at].remove();
  if (found.length) sift();
  lines.dataset.lines = String(lines.querySelectorAll('.line').length);
  if (isAtEnd && found.length) lines.scrollTop = lines.scrollHeight;
}

function makeLine(line) {
  const time = new Date(line.at).toTimeString().slice(0, 8);
  return make('div', { class: 'line ' + line.level },
    make('time', { datetime: line.at, title: line.at }, time),
    make('span', { class: 'level' }, line.level),
    make('span', { class: 'message' }, line.message));
}

function sift() {
  const wanted = searchBox.value.trim().toLowerCase();
  let matches = 0;
  for (const line of lines.querySelectorAll('.line')) {
    line.hidden = Boolean(wanted) && !line.textContent.toLowerCase().includes(wanted);
    if (!line.hidden) matches += 1;
  }
  vacant.hidden = matches > 0;
  vacant.textContent = lines.querySelector('.line') ? words.no_match : words.empty;
}

lines.addEventListener('scroll', () => {
  const distance = lines.scrollHeight - lines.scrollTop - lines.clientHeight;
  follow.checked = distance < 24;
});
follow.addEventListener('change', () => {
  if (follow.checked) lines.scrollTop = lines.scrollHeight;
});
level.addEventListener('change', restart);
searchBox.addEventListener('input', sift);
watch('value', restart);
restart();
