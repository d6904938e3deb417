// Draws the list and marks the fields. Gradio builds and drops parts of the form at will, so marks are
// set again whenever the page's tree changes.
const list = element.querySelector('.bd-problems');
let problems = [];

function show() {
  const value = props.value || {};
  problems = value.problems || [];
  list.classList.toggle('bd-note-danger', problems.length > 0);
  dom.fill(list, ...(problems.length ? [
    dom.make('strong', { text: value.heading }),
    dom.make('ul', {}, ...problems.map(entry)),
  ] : []));
  list.dataset.count = String(problems.length);
  mark();
}

function entry(problem) {
  const item = dom.make('li');
  if (problem.element) {
    const link = dom.make('a', { href: `#${problem.element}`, text: problem.title });
    link.addEventListener('click', (event) => {
      event.preventDefault();
      go(problem.element);
    });
    item.append(link, ' ');
  } else if (problem.title) {
    item.append(dom.make('strong', { text: problem.title }), ' ');
  }
  item.append(dom.make('span', { text: problem.message }));
  return item;
}

function go(id) {
  const field = document.getElementById(id);
  if (!field) return;
  const folded = field.closest('.bd-advanced');
  const opener = folded && folded.querySelector('button.label-wrap:not(.open)');
  if (opener) opener.click();
  field.scrollIntoView({ block: 'center' });
  const control = field.querySelector('input, textarea, select');
  if (control) control.focus({ preventScroll: true });
}

function mark() {
  const wanted = new Map();
  for (const { element: id, message } of problems) {
    if (id) wanted.set(id, wanted.has(id) ? `${wanted.get(id)} ${message}` : message);
  }
  for (const note of document.querySelectorAll('.bd-field-problem')) {
    if (!wanted.has(note.dataset.field)) clear(note);
  }
  for (const [id, message] of wanted) {
    const field = document.getElementById(id);
    if (field) setNote(field, message);
  }
}

function clear(note) {
  const field = document.getElementById(note.dataset.field);
  if (field) {
    field.classList.remove('bd-field-wrong');
    for (const control of field.querySelectorAll('[aria-invalid]')) {
      control.removeAttribute('aria-invalid');
      control.removeAttribute('aria-describedby');
    }
  }
  note.remove();
}

function setNote(field, message) {
  const name = `${field.id}-problem`;
  let note = document.getElementById(name);
  if (!note || !field.contains(note)) {
    if (note) note.remove();
    note = dom.make('p', { id: name, class: 'bd-field-problem', 'data-field': field.id });
    field.append(note);
  }
  if (note.textContent !== message) note.textContent = message;
  if (!field.classList.contains('bd-field-wrong')) field.classList.add('bd-field-wrong');
  const control = field.querySelector('input, textarea');
  if (control && control.getAttribute('aria-describedby') !== name) {
    control.setAttribute('aria-invalid', 'true');
    control.setAttribute('aria-describedby', name);
  }
}

const tree = new MutationObserver(() => {
  if (!list.isConnected) { tree.disconnect(); return; }
  if (problems.length) mark();
});
tree.observe(document.body, { childList: true, subtree: true });
watch('value', show);
show();
