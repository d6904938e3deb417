// Draws the list and marks the fields. Gradio builds and drops parts of the form at will, so marks are
// set again whenever the page's tree changes.
const list = element.querySelector('.bd-problems');
let problems = [];

function show() {
  const value = props.value || {};
  problems = value.problems || [];
  list.classList.toggle('bd-note-danger', problems.length > 0);
  list.replaceChildren(...(problems.length
    ? [make('strong', {}, value.heading), make('ul', {}, ...problems.map(entry))] : []));
  list.dataset.count = String(problems.length);
  mark();
}

function entry({ element: id, title, message }) {
  if (!id) return make('li', {}, make('strong', {}, title ? `${title}: ` : ''), message);
  const go = (event) => {
    event.preventDefault();
    lead(id);
  };
  return make('li', {}, make('a', { href: `#${id}`, click: go }, title), `: ${message}`);
}

function lead(id) {
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
      describeBy(control, namesOf(control).filter((name) => name !== note.id));
    }
  }
  note.remove();
}

function setNote(field, message) {
  const name = `${field.id}-problem`;
  let note = document.getElementById(name);
  if (!note || !field.contains(note)) {
    if (note) note.remove();
    note = make('p', { id: name, class: 'bd-field-problem', 'data-field': field.id });
    field.append(note);
  }
  if (note.textContent !== message) note.textContent = message;
  if (!field.classList.contains('bd-field-wrong')) field.classList.add('bd-field-wrong');
  const control = field.querySelector('input, textarea');
  if (control && !namesOf(control).includes(name)) {
    control.setAttribute('aria-invalid', 'true');
    describeBy(control, [...namesOf(control), name]);
  }
}

// What describes a control besides a problem, such as its help, stays.
function namesOf(control) {
  return (control.getAttribute('aria-describedby') || '').split(' ').filter(Boolean);
}

function describeBy(control, names) {
  if (names.length) control.setAttribute('aria-describedby', names.join(' '));
  else control.removeAttribute('aria-describedby');
}

const tree = new MutationObserver(() => {
  if (!list.isConnected) { tree.disconnect(); return; }
  if (problems.length) mark();
});
tree.observe(document.body, { childList: true, subtree: true });
watch('value', show);
show();
