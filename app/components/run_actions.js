// Cancel, retry, clone and delete as buttons, with a question before deleting. Joined after dom.js.
// `words` are app.text.runs.ACTIONS; `done(action, run)` is called after one has worked.
async function sendAction(action, run, words) {
  const address = '/api/v1/runs/' + run.id;
  try {
    const reply = action === 'delete'
      ? await fetch(address, { method: 'DELETE' })
      : await fetch(address + '/' + action, { method: 'POST' });
    if (reply.ok) return null;
    const refusal = await reply.json().catch(() => null);
    return fill(words.failed, { message: pluck(refusal) || String(reply.status) });
  } catch (error) {
    return fill(words.failed, { message: words.unreachable });
  }
}

function askBeforeDeleting(run, words) {
  return new Promise((resolve) => {
    const question = fill(words.confirm, { id: run.id });
    const dialog = make('dialog', { class: 'ask', 'aria-label': question },
      make('p', {}, question),
      make('p', { class: 'soft' }, run.name),
      make('div', { class: 'ask-buttons' },
        make('button', { class: 'bd-button', type: 'button', click: () => dialog.close('') },
          words.keep),
        make('button', { class: 'bd-button danger', type: 'button', 'data-act': 'confirm',
          click: () => dialog.close('yes') }, makeIcon('delete'), words.delete)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    element.append(dialog);
    dialog.showModal();
  });
}

function makeActions(run, words, look) {
  return run.actions.map((action) => {
    const label = fill(words[action + '_label'], { id: run.id });
    const content = look.isCompact
      ? [makeIcon(action)] : [makeIcon(action), make('span', {}, words[action])];
    const properties = {
      class: (look.isCompact ? 'act' : 'bd-button') + (action === 'delete' ? ' danger' : ''),
      title: label, 'aria-label': label, 'data-act': action,
    };
    if (action === 'clone') {
      return make('a', { ...properties, href: '/new?clone=' + run.id }, ...content);
    }
    const press = async (event) => {
      const button = event.currentTarget;
      if (action === 'delete' && !(await askBeforeDeleting(run, words))) {
        button.focus();
        return;
      }
      button.disabled = true;
      const problem = await sendAction(action, run, words);
      button.disabled = false;
      if (problem) look.failed(problem);
      else look.done(action, run);
    };
    return make('button', { ...properties, type: 'button', click: press }, ...content);
  });
}
