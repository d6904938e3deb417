// Keeps the address in step with the draft, announces edits of the form, leaves for the run after
// launch, and listens for Ctrl+Enter.
const PAUSE_MILLISECONDS = 120;
const line = element.querySelector('.bd-draft');

function show() {
  const value = props.value || {};
  line.textContent = value.note || '';
  line.className = `bd-draft ${value.note && value.tone ? `bd-note-${value.tone}` : ''}`;
  line.dataset.revision = String(value.revision || 0);
  line.dataset.draft = String(value.id || '');
  if (value.go) {
    location.assign(value.go);
    return;
  }
  const address = value.id ? `${location.pathname}?draft=${value.id}` : null;
  if (address && address !== location.pathname + location.search) {
    history.replaceState(history.state, '', address);
  }
}

function launch(event) {
  if (!line.isConnected) { document.removeEventListener('keydown', launch); return; }
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  const button = document.getElementById(props.launch);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
}
document.addEventListener('keydown', launch);

// Gradio's text boxes announce key presses only: no paste, no deletion. The browser's own event tells
// of both; the pause lets their values arrive and joins quick keystrokes.
let pause = null;
function noticeEdit(event) {
  if (!line.isConnected) { document.removeEventListener('input', noticeEdit); return; }
  if (!event.target.closest || !event.target.closest('.bd-field')) return;
  clearTimeout(pause);
  pause = setTimeout(() => trigger('edited'), PAUSE_MILLISECONDS);
}
document.addEventListener('input', noticeEdit);
watch('value', show);
show();
