/**
 * A picture of a widget that lives in a notebook: its HTML, in which comparisons have their handle (before_after.js
 * stands before this file), and in which marked elements answer pointer and keyboard. What is picked goes to Python.
 *
 *   data-pick="2"                       is a choice: click, Enter or Space sends {pick: 2}
 *   data-grid="32 32" data-at="12 11"   has rows and columns: press, drag and arrows send {row, column}
 */
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const numbers = (text) => text.split(' ').map(Number);
const limited = (x, count) => Math.min(Math.max(x, 0), count - 1);

/** Brings a tree to what another is, and keeps its elements: with them the focus, and where a handle is. */
function renew(old, fresh) {
  const alike = old.nodeName === fresh.nodeName && old.childNodes.length === fresh.childNodes.length;
  if (!alike) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) return void (old.data = fresh.data);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  [...old.childNodes].forEach((child, i) => renew(child, fresh.childNodes[i]));
}

/** Says to programs that read the screen what can be done, which the HTML of a picture at rest does not. */
function describe(root) {
  for (const element of root.querySelectorAll('[data-grid]')) {
    element.setAttribute('role', 'application');
    element.setAttribute('aria-label', `${element.alt}. Arrow keys go from place to place.`);
    element.closest('figure').querySelector('figcaption').setAttribute('aria-live', 'polite');
    element.draggable = false;
  }
  for (const element of root.querySelectorAll('[data-pick]')) {
    element.setAttribute('role', 'radio');
    element.style.cursor = 'pointer';
  }
  for (const element of root.querySelectorAll('[data-grid], [data-pick]')) element.tabIndex = 0;
  for (const element of root.querySelectorAll('[tabindex], before-after')) element.dataset.lmSuppressShortcuts = '';
}

/** The sliders of this widget get the names and the values that stand beside them: their own value may be an index. */
function nameSliders(box) {
  for (const handle of box?.querySelectorAll('.noUi-handle') ?? []) {
    const row = handle.closest('.widget-inline-hbox'), text = (name) => row?.querySelector(name)?.textContent;
    handle.ariaLabel = text('.widget-label');
    const tell = () => {
      const value = text('.widget-readout');
      if (value && handle.ariaValueText !== value) handle.ariaValueText = value;
    };
    tell();
    if (row) always(tell, row, { subtree: true, childList: true, characterData: true, attributeFilter: ['aria-valuetext'] });
  }
}

/** A button for uploads is called what it is called, and does not count them. */
function nameUploads(box) {
  for (const button of box?.querySelectorAll('.widget-upload') ?? []) {
    const tell = () => {
      const { lastChild } = button, name = lastChild?.data?.replace(/ \(\d+\)$/, '');
      if (name && name !== lastChild.data) lastChild.data = name;
    };
    tell();
    always(tell, button, { childList: true });
  }
}

const watched = new WeakSet();
/** Calls it whenever the element changes in such a way; set up once. */
function always(tell, element, changes) {
  if (!watched.has(element)) new MutationObserver(tell).observe(element, changes);
  watched.add(element);
}

const CONTROLS = '.widget-vbox:has(.live-picture) :is(.noUi-handle, select, input, button, [tabindex], before-after)';
/**
 * Keys are those of the control that has the keyboard, and not the notebook's, where they would go to another cell or
 * fold a section: Notebook 7 asks for this attribute before the control hears of the key. Ctrl+S still saves.
 */
function keepKeys({ target, ctrlKey, metaKey }) {
  target.closest?.(CONTROLS)?.toggleAttribute('data-lm-suppress-shortcuts', !(ctrlKey || metaKey));
}

function render({ model, el }) {
  const draw = () => {
    const fresh = document.createElement('div');
    fresh.className = 'live-picture';
    fresh.innerHTML = model.get('value');
    describe(fresh);
    if (el.firstElementChild) renew(el.firstElementChild, fresh);
    else el.append(fresh);
  };
  let at; // the place that was asked for last, by the grid's own size
  const go = (grid, row, column) => {
    const [rows, columns] = numbers(grid.dataset.grid);
    const [r, c] = [limited(row, rows), limited(column, columns)];
    if (at && at[0] === r && at[1] === c) return;
    at = [r, c];
    model.send({ row: r, column: c });
  };
  const point = (event) => {
    const grid = event.target.closest('[data-grid]');
    if (!grid || !(event.buttons & 1)) return;
    const [rows, columns] = numbers(grid.dataset.grid), { left, top, width, height } = grid.getBoundingClientRect();
    if (event.type === 'pointerdown') {
      at = undefined;
      grid.setPointerCapture(event.pointerId);
    }
    const [y, x] = [(event.clientY - top) / height, (event.clientX - left) / width];
    go(grid, Math.floor(rows * y), Math.floor(columns * x));
  };
  const pick = (element) => model.send({ pick: Number(element.dataset.pick) });

  if (!window.elsfaceKeys) window.addEventListener('keydown', (window.elsfaceKeys = keepKeys), true); // once a page
  el.addEventListener('pointerdown', point);
  el.addEventListener('pointermove', point);
  el.addEventListener('click', ({ target }) => target.closest('[data-pick]') && pick(target.closest('[data-pick]')));
  el.addEventListener('keydown', (event) => {
    const { target, key } = event, arrow = ARROWS[key];
    if (target.matches('[data-grid]') && arrow) {
      const [row, column] = numbers(target.dataset.at);
      at = undefined;
      go(target, row + arrow[0], column + arrow[1]);
    } else if (target.matches('[data-pick]') && (arrow || key === 'Enter' || key === ' ')) {
      const all = [...el.querySelectorAll('[data-pick]')], step = arrow ? arrow[0] + arrow[1] : 0;
      const next = all[(all.indexOf(target) + step + all.length) % all.length];
      next.focus();
      pick(next);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  model.on('change:value', draw);
  draw();
  new ResizeObserver(() => { // once it is in the page
    nameSliders(el.closest('.widget-vbox'));
    nameUploads(el.closest('.widget-vbox'));
  }).observe(el);
}

export default { render };
