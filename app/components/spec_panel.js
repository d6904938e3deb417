// Draws YAML line by line with a mark for set and preset values; copies and downloads the text itself.
const panel = element.querySelector('.bd-spec');
const words = props.words;

function copyButton(text, label) {
  const copy = (event) => copyText(text, event.currentTarget, words.copied);
  return make('button', { type: 'button', class: 'bd-button', 'aria-label': label, click: copy },
    words.copy);
}

function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
  const link = make('a', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function codeLine({ text, origin }) {
  return make('span', {
    class: 'bd-line', 'data-origin': origin || 'none', title: words.origins[origin],
  }, text, '\n');
}

function originMarks() {
  return make('div', { class: 'bd-origins' }, ...Object.entries(words.origins).map(
    ([origin, name]) => make('span', { class: 'bd-origin', 'data-origin': origin }, name)));
}

function show() {
  const value = props.value;
  panel.dataset.file = (value && value.file) || '';
  if (!value || !value.yaml) {
    panel.replaceChildren(make('p', { class: 'bd-spec-empty' }, words.empty));
    return;
  }
  const save = () => download(value.yaml, value.file);
  panel.replaceChildren(
    make('div', { class: 'bd-spec-tools' }, originMarks(), make('span', { class: 'bd-buttons' },
      copyButton(value.yaml, words.copy),
      make('button', { type: 'button', class: 'bd-button', click: save }, words.download))),
    make('pre', { class: 'bd-code', tabindex: '0', 'aria-label': words.label },
      make('code', {}, ...value.lines.map(codeLine))),
    make('p', { class: 'bd-spec-command-title' }, words.command),
    make('div', { class: 'bd-command' }, make('code', {}, value.command),
      copyButton(value.command, `${words.copy}: ${value.command}`)));
}
watch('value', show);
show();
