// Keeps the address in step with the draft, leaves for the run after launch, and listens for Ctrl+Enter.
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
watch('value', show);
show();
