// Shows props.value: a run's head, or why there is none. See app/tables/run_header.py for its shape.
// Sets data-state and data-draws, which tests wait on.
const root = element.querySelector('.run-header');
const back = make('div');
const top = make('div', { class: 'top' });
const sub = make('p', { class: 'sub' });
const problem = make('div', { class: 'problem', role: 'alert', hidden: true });
const failure = make('div');
const steps = make('div');
const progress = make('div');
const hint = make('p', { class: 'hint', role: 'status' });
const nothing = make('div', { class: 'nothing' });
root.append(back, top, sub, problem, failure, steps, hint, nothing);
const badge = make('span');
const title = make('h1');
const acts = make('div', { class: 'acts' });
let draws = 0;

function draw() {
  const value = props.value;
  if (!value) return;
  const parts = [top, sub, failure, steps, hint];
  nothing.hidden = !value.missing;
  for (const part of parts) part.hidden = Boolean(value.missing);
  refill(back, [value.back], () => make('a', { class: 'back', href: '/runs' },
    makeIcon('back'), value.back));
  if (value.missing) drawMissing(value.missing);
  else drawRun(value);
  draws += 1;
  root.dataset.draws = String(draws);
}

function drawMissing(missing) {
  root.dataset.state = 'missing';
  refill(nothing, [missing], () => [make('h2', {}, missing.title), make('p', {}, missing.hint),
    make('a', { class: 'primary', href: '/runs' }, missing.action)]);
}

function drawRun(value) {
  const run = value.run;
  root.dataset.state = run.state;
  document.title = run.name + ' · Bitdial';
  if (!top.children.length) top.append(title, badge, make('span', { class: 'grow' }), acts);
  title.textContent = run.name;
  refill(badge, [run.state], () => makeBadge(run.state, value.state));
  refill(acts, [run.actions], () => makeActions(run, props.actions, {
    isCompact: false, failed: showProblem, done: afterAction,
  }));
  sub.textContent = value.sub;
  hint.textContent = value.hint;
  hint.hidden = !value.hint;
  drawFailure(value.failure, value.words);
  drawSteps(value);
}

function drawFailure(found, words) {
  failure.hidden = !found;
  refill(failure, [found], () => (found ? make('div', { class: 'failure' },
    make('strong', {}, found.title), make('p', {}, found.message),
    found.traceback ? make('details', {}, make('summary', {}, words.traceback),
      make('pre', { tabindex: 0 }, found.traceback)) : null) : null));
}

function drawSteps(value) {
  const icons = { done: 'succeeded', now: 'now', failed: 'failed', cancelled: 'failed', todo: 'todo' };
  const shape = value.stages.map((stage) => [stage.title, stage.status]);
  steps.hidden = value.stages.length === 0;
  refill(steps, shape, () => make('div', { class: 'card' },
    make('ol', { 'aria-label': value.words.stages }, ...value.stages.map((stage) => make('li', {
      class: 'is-' + stage.status, 'aria-current': stage.status === 'now' ? 'step' : null,
    }, make('span', { class: 'step' },
      make('span', { class: 'dot' }, makeIcon(icons[stage.status])), stage.title),
    make('span', { class: 'took' })))), progress));
  steps.querySelectorAll('.took').forEach((cell, at) => {
    cell.textContent = value.stages[at].took;
  });
  drawProgress(value);
}

function drawProgress(value) {
  const now = value.progress;
  progress.hidden = !now;
  if (!now) return;
  refill(progress, [now.label], () => make('div', { class: 'progress' },
    make('div', { class: 'progress-text' }, make('span'), make('span')),
    make('div', { class: 'bar', role: 'progressbar', 'aria-label': now.label, 'aria-valuemin': 0,
      'aria-valuemax': 100 }, make('i'))));
  const [text, bar] = progress.firstChild.children;
  text.children[0].textContent = now.text;
  text.children[1].textContent = now.eta;
  if (now.percent === null) bar.removeAttribute('aria-valuenow');
  else bar.setAttribute('aria-valuenow', String(now.percent));
  bar.firstChild.style.width = (now.percent || 0) + '%';
}

function showProblem(sentence) {
  problem.hidden = !sentence;
  problem.textContent = sentence;
}

function afterAction(action) {
  showProblem('');
  if (action === 'delete') location.assign('/runs');
  else trigger('acted', {});
}

watch('value', draw);
draw();
