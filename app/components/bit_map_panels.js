// What stands beside the grid and does something: launching, versions, limits and sharing, files.
const FORMATS = ['bitdial', 'qalof', 'llama-cpp', 'compressed-tensors'];
const MOST_TOLD = 6;
const USUAL_PRESET = 'qat-lora';

// A card's own place for what was refused in it.
function makeRefusal() {
  return make('p', { class: 'refusal', role: 'alert', hidden: true });
}

function tellIn(refusal, sentence) {
  refusal.hidden = !sentence;
  refusal.textContent = sentence;
}

// Does something once, however often the button is pressed meanwhile; unlike a disabled button it keeps
// the focus. Returns what was done, or null while it was at work.
async function holding(button, act) {
  if (button.getAttribute('aria-disabled') === 'true') return null;
  button.setAttribute('aria-disabled', 'true');
  try {
    return await act();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

function buildLaunch(context) {
  const told = words.launch;
  const chooser = make('select', { class: 'field', 'aria-label': told.preset },
    ...context.view.presets.map((preset) => make('option', { value: preset.name }, preset.title)));
  if (context.view.presets.some((preset) => preset.name === USUAL_PRESET)) chooser.value = USUAL_PRESET;
  const note = make('p', { class: 'soft small', role: 'status', hidden: true });
  const go = make('button', { class: 'bd-button', type: 'button', click: launch }, told.go);
  const refusal = makeRefusal();
  async function launch() {
    const news = await holding(go, () => context.ask('/draft', { preset: chooser.value }, refusal));
    if (!news) return;
    if (news.note) {
      note.hidden = false;
      note.replaceChildren(news.note + ' ', make('a', { href: news.url }, told.go));
    } else location.assign(news.url);
  }
  return make('section', { class: 'card launch', 'aria-labelledby': 'launch-title' },
    make('h2', { id: 'launch-title' }, told.title),
    make('div', { class: 'line' }, chooser, go), refusal, note);
}

function buildVersions(context) {
  const told = words.versions;
  const name = make('input', {
    class: 'field', type: 'text', maxlength: 100, placeholder: told.placeholder,
    'aria-label': told.name, keydown: (event) => { if (event.key === 'Enter') save(); },
  });
  const list = make('div', { class: 'scroll' });
  const from = make('select', { class: 'field', 'aria-label': told.compare_from });
  const to = make('select', { class: 'field', 'aria-label': told.compare_to });
  const compared = make('div', { class: 'compared', role: 'status' });
  let compareButton = null;
  let comparison = null;
  const comparing = make('div', { class: 'line', hidden: true }, told.compare_from, from,
    told.compare_to, to,
    (compareButton = make('button', {
      class: 'bd-button', type: 'button', click: compare, 'data-act': 'compare',
    }, told.compare)));
  const refusal = makeRefusal();
  const card = make('section', { class: 'card versions', 'aria-labelledby': 'versions-title' },
    make('h2', { id: 'versions-title' }, told.title),
    make('div', { class: 'line' }, name, make('button', {
      class: 'bd-button', type: 'button', click: save, 'data-act': 'save-version',
    }, told.save)), refusal, list, comparing, compared);

  async function save() {
    if (!name.value.trim()) { name.focus(); return; }
    const news = await context.ask('/versions', { name: name.value.trim() }, refusal);
    if (news) {
      name.value = '';
      context.queue.take(news);
    }
  }

  function compare() {
    comparison = { from: from.value, to: to.value };
    return renew();
  }

  // Asks how two versions differ. Of a layer that is not named both have the same width: what the map
  // has now where one of the two is the map itself, else what the first has that is not as now.
  async function renew() {
    const asked = comparison;
    asked.revision = context.queue.truth().revision;
    asked.bits = String(context.queue.shown().bits);
    const query = (start, end) => '/difference?' + new URLSearchParams(
      Object.entries({ from: start, to: end }).filter(([, version]) => version));
    const isOfTwo = asked.from && asked.to;
    const [news, sinceFirst] = await Promise.all([
      context.ask(query(asked.from, asked.to), null, refusal),
      isOfTwo ? context.ask(query(asked.from, ''), null, refusal) : null,
    ]);
    if (comparison !== asked) return;
    if (!news || (isOfTwo && !sinceFirst)) { stop(); return; }
    const base = [...context.queue.truth().bits];
    for (const layer of sinceFirst ? sinceFirst.layers : []) base[layer.index] = layer.before;
    const before = [...base];
    const after = [...base];
    for (const layer of news.layers) {
      before[layer.index] = layer.before;
      after[layer.index] = layer.after;
    }
    context.compare = { before: asked.from ? before : null, after: asked.to ? after : null };
    context.refresh();
    refill(compared, [asked.from, asked.to, news], () => tellDifference(news));
  }

  function tellDifference(news) {
    const sum = Object.values(news.ledger).reduce((all, bytes) => all + bytes, 0);
    const size = sum ? (sum > 0 ? '+' : '') + writeBytes(sum) : told.same_size;
    const count = news.layers.length;
    return [
      make('div', { class: 'line' }, make('strong', {}, count === 0 ? told.same
        : fill(count === 1 ? told.differ_one : told.differ, { count, size })),
      make('span', { class: 'grow' }),
      make('button', { class: 'bd-button', type: 'button', click: () => stop() }, told.stop)),
      count ? make('ul', { class: 'differences' }, ...news.layers.map((layer) => make('li', {},
        make('span', { class: 'mono' }, layer.name), ' ', String(layer.before) + ' → ' + layer.after)))
        : make('span')];
  }

  function stop(sentence = '') {
    const hadFocus = compared.contains(document.activeElement);
    comparison = null;
    context.compare = null;
    refill(compared, ['none', sentence], () => make('p', { class: 'soft small' }, sentence));
    context.refresh();
    if (hadFocus) compareButton.focus();
  }

  // The map as it is now is compared again whenever it was changed; where a kept version is what the
  // colors show, a change of the map ends the comparing, for the grid would not show it.
  function follow() {
    if (!comparison) return;
    if (comparison.to) {
      if (String(context.queue.shown().bits) !== comparison.bits) stop(told.left);
    } else if (context.queue.numWaiting() === 0
      && context.queue.truth().revision !== comparison.revision) renew();
  }

  function fillChoices(versions) {
    const options = (isLast) => [make('option', { value: '' }, told.now),
      ...versions.map((version, place) => make('option', {
        value: version.number, selected: !isLast && place === 0,
      }, version.name))];
    for (const [select, isLast] of [[from, false], [to, true]]) {
      const chosen = select.value;
      const hadAny = select.options.length > 1;
      select.replaceChildren(...options(isLast));
      if (hadAny && [...select.options].some((option) => option.value === chosen)) {
        select.value = chosen;
      }
    }
  }

  function show() {
    const { versions } = context.queue.truth();
    follow();
    refill(list, [versions], () => {
      comparing.hidden = versions.length === 0;
      fillChoices(versions);
      if (!versions.length) return make('p', { class: 'soft small' }, told.none);
      return make('table', {}, make('thead', { class: 'visually-hidden' }, make('tr', {},
        ...['version', 'bits', 'saved', 'restore'].map((word) => make('th', { scope: 'col' },
          told[word])))),
      make('tbody', {}, ...versions.map((version) => make('tr', {},
        make('th', { scope: 'row' }, version.name),
        make('td', { class: 'number' }, writeEffective(version.effective_bits) + ' bits'),
        make('td', { class: 'soft' }, writeMoment(version.created_at)),
        make('td', { class: 'number' }, make('button', {
          class: 'bd-button', type: 'button',
          'aria-label': fill(told.restore_label, { name: version.name }),
          click: () => context.queue.add([{ edit: 'restore', version: version.number }],
            { said: { kind: 'done' } }),
        }, told.restore))))));
    });
  }

  return { card, show };
}

function buildRules(context) {
  const told = words.rules;
  const { view } = context;
  const fuse = make('input', {
    type: 'checkbox', change: () => context.queue.add([{ edit: 'fuse', fused: fuse.checked }],
      { said: { kind: 'done' } }),
  });
  const widths = () => [make('option', { value: '' }, told.any),
    ...view.widths.map((bits) => make('option', { value: bits }, String(bits)))];
  const pattern = make('input', {
    class: 'field', type: 'text', placeholder: told.pattern_example, 'aria-label': told.pattern,
    title: told.pattern, spellcheck: 'false', autocomplete: 'off',
  });
  const least = make('select', { class: 'field' }, ...widths());
  const most = make('select', { class: 'field' }, ...widths());
  const now = make('div', { class: 'soft small rules-now' });
  const refusal = makeRefusal();
  const hasGroups = view.layers.some((layer) => layer.group !== null);
  const card = make('details', { class: 'card rules' },
    make('summary', {}, make('h2', {}, told.title)),
    hasGroups ? make('label', { class: 'check' }, fuse, told.fuse) : null,
    make('p', { class: 'soft small' }, told.lead),
    make('div', { class: 'line' }, pattern,
      make('label', { class: 'small' }, told.least + ' ', least),
      make('label', { class: 'small' }, told.most + ' ', most),
      make('button', { class: 'bd-button', type: 'button', click: apply, 'data-act': 'limit' },
        told.apply)), refusal, now);

  function apply() {
    const target = pattern.value.trim() ? { pattern: pattern.value.trim() }
      : { layers: [...context.selection].map((index) => view.layers[index].name) };
    const isNothing = Boolean(target.layers) && !target.layers.length;
    tellIn(refusal, isNothing ? told.nothing : '');
    if (isNothing) return;
    const read = (select) => (select.value ? Number(select.value) : null);
    context.queue.add([{ edit: 'limit', ...target, least: read(least), most: read(most) }],
      { said: { kind: 'done' } });
  }

  // Layers of one kind with the same limits are told together.
  function listLimits(state, limited) {
    const groups = new Map();
    for (const index of limited) {
      const key = view.layers[index].kind + '\n' + describeLimits(state, index);
      groups.set(key, [...(groups.get(key) || []), index]);
    }
    return [...groups.values()].map((indices) => {
      const limits = describeLimits(state, indices[0]);
      return (indices.length === 1 ? namePlace(view, indices[0])
        : fill(told.blocks, { count: indices.length, kind: view.layers[indices[0]].kind }))
        + ' ' + limits;
    });
  }

  function show() {
    const state = context.queue.truth();
    fuse.checked = context.shown().fused;
    const hadFocus = now.contains(document.activeElement);
    refill(now, [state.least, state.most, state.pinned], () => {
      const limited = [...new Set([...Object.keys(state.least), ...Object.keys(state.most)])]
        .map(Number).sort((one, other) => one - other);
      const listed = listLimits(state, limited);
      const lines = [make('p', {}, listed.length
        ? fill(told.set, { told: listed.length > MOST_TOLD
          ? fill(told.more, { told: listed.slice(0, MOST_TOLD).join('; '), count: listed.length - MOST_TOLD })
          : listed.join('; ') }) : told.none)];
      const buttons = [];
      if (listed.length) {
        buttons.push(make('button', {
          class: 'bd-button', type: 'button',
          click: () => context.queue.add([{
            edit: 'limit', layers: limited.map((index) => view.layers[index].name),
            least: null, most: null,
          }], { said: { kind: 'done' } }),
        }, told.clear));
      }
      if (state.pinned.length) {
        lines.push(make('p', {}, fill(state.pinned.length === 1 ? told.pins_one : told.pins,
          { count: state.pinned.length })));
        buttons.push(make('button', {
          class: 'bd-button', type: 'button', click: () => context.togglePins(state.pinned),
        }, told.clear_pins));
      }
      return buttons.length ? [...lines, make('div', { class: 'line' }, ...buttons)] : lines;
    });
    if (hadFocus && !now.contains(document.activeElement)) {
      (now.querySelector('button') || card.querySelector('summary')).focus();
    }
  }

  return { card, show };
}

function buildFiles(context) {
  const told = words.files;
  const text = make('textarea', {
    class: 'field', rows: 5, 'aria-label': told.paste, placeholder: told.paste, spellcheck: 'false',
  });
  const file = make('input', { type: 'file', 'aria-label': told.choose, change: read });
  const refusal = makeRefusal();
  let name = '';
  async function read() {
    const chosen = file.files[0];
    if (!chosen) return;
    name = chosen.name;
    text.value = await chosen.text();
  }
  function apply() {
    tellIn(refusal, text.value.trim() ? '' : told.nothing);
    if (!text.value.trim()) { text.focus(); return; }
    context.queue.add([{ edit: 'import', text: text.value, ...(name ? { name } : {}) }],
      { said: { kind: 'done' } });
    name = '';
    file.value = '';
  }
  return make('details', { class: 'card files' },
    make('summary', {}, make('h2', {}, told.title)),
    make('p', { class: 'small soft' }, told.export),
    make('div', { class: 'line' }, ...FORMATS.map((format) => make('a', {
      class: 'bd-button', href: context.address + '/file?format=' + format, download: '',
      'data-format': format,
    }, makeIcon('download'), told[format]))),
    make('p', { class: 'small soft' }, told.import), text,
    make('div', { class: 'line' }, file, make('span', { class: 'grow' }), make('button', {
      class: 'bd-button', type: 'button', click: apply, 'data-act': 'import',
    }, told.apply)), refusal);
}
