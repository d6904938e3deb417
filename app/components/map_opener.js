// Asks REST for a bit map of the run in props.value and opens it; says what it was refused for.
const root = element.querySelector('.opener');
const words = props.words;
const button = make('button', { class: 'primary', type: 'button', click: open }, words.open);
const problem = make('div', { class: 'problem', role: 'alert', hidden: true });

function draw() {
  const value = props.value;
  refill(root, value, () => (value
    ? [button, make('span', { class: 'soft' }, words.hint), problem] : []));
}

async function open() {
  button.disabled = true;
  const reason = await ask();
  button.disabled = false;
  problem.hidden = !reason;
  problem.textContent = reason ? fill(words.failed, { message: reason }) : '';
}

async function ask() {
  try {
    const reply = await fetch('/api/v1/bit-maps', {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ sensitivity: props.value.sensitivity }),
    });
    const news = await reply.json().catch(() => null);
    if (!reply.ok || !news) return pluck(news) || String(reply.status);
    location.assign('/layers?map=' + encodeURIComponent(news.id));
    return '';
  } catch (error) {
    return words.unreachable;
  }
}

watch('value', draw);
draw();
