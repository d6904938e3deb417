// Draws YAML line by line with a mark for set and preset values; copies and downloads the text itself.
const panel = element.querySelector('.bd-spec');
const words = props.words;

function copyButton(getText, label) {
  const button = dom.make('button', { type: 'button', class: 'bd-button', 'aria-label': label });
  button.textContent = words.copy;
  button.addEventListener('click', async () => {
    await copyText(getText());
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });
  return button;
}

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = dom.make('textarea', { style: 'position:fixed;opacity:0' });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
  const link = dom.make('a', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function codeLine({ text, origin }) {
  const line = dom.make('span', { class: 'bd-line', 'data-origin': origin || 'none' });
  const split = text.match(/^(\s*[\w-]+:)(.*)$/);
  if (split) {
    line.append(dom.make('span', { class: 'key', text: split[1] }), split[2]);
  } else line.append(text);
  if (words.origins[origin]) line.title = words.origins[origin];
  line.append('\n');
  return line;
}

function key() {
  const marks = Object.entries(words.origins).map(([origin, name]) => dom.make('span', {
    class: 'bd-origin', 'data-origin': origin, text: name,
  }));
  return dom.make('div', { class: 'bd-origins' }, ...marks);
}

function show() {
  const value = props.value;
  if (!value || !value.yaml) {
    dom.fill(panel, dom.make('p', { class: 'bd-spec-empty', text: words.empty }));
    panel.dataset.file = '';
    return;
  }
  const save = dom.make('button', { type: 'button', class: 'bd-button', text: words.download });
  save.addEventListener('click', () => download(value.yaml, value.file));
  const code = dom.make('code', {}, ...value.lines.map(codeLine));
  dom.fill(panel,
    dom.make('div', { class: 'bd-spec-tools' }, key(),
      dom.make('span', { class: 'bd-buttons' }, copyButton(() => value.yaml, words.copy), save)),
    dom.make('pre', { class: 'bd-code', tabindex: '0', 'aria-label': words.label }, code),
    dom.make('p', { class: 'bd-spec-command-title', text: words.command }),
    dom.make('div', { class: 'bd-command' },
      dom.make('code', { text: value.command }),
      copyButton(() => value.command, `${words.copy}: ${value.command}`)));
  panel.dataset.file = value.file;
}
watch('value', show);
show();
