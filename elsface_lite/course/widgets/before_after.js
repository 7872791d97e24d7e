/**
 * <before-after>: two pictures of one size, split by a handle on the picture itself, with zoom.
 *
 *   <before-after><img slot="before" …><img slot="after" …></before-after>
 *
 * The pictures may be <img> or <canvas>. It has no import and needs nothing around it: a page loads it as a module, and
 * a widget of anywidget has its text as the beginning of `_esm`. Pointer: drag the handle, or anywhere while nothing is
 * enlarged; drag the picture when it is; Ctrl and wheel, two fingers or a double click enlarge. Keyboard: arrows, Home
 * and End move the handle, + and - enlarge, 0 shows all, Shift and arrows move the picture.
 *
 * Attributes: plain (buttons for zoom only while somebody is at the picture, or it is enlarged), still (no handle:
 * nothing has changed yet), left and right (what the two pictures are called, if not Before and After), save (the name
 * of a file: a button saves the picture after, an <img>).
 * Style: --before-after-height, the most that it may take; --before-after-widest, how many times as wide as high it may
 * be, beyond which there is ground above and below a wide picture; --before-after-focus, the colour of the ring around
 * the handle when it has the keyboard.
 */
const STYLE = `
:host { display: block; -webkit-user-select: none; user-select: none; }
:host([hidden]) { display: none; }
.frame { --shape: min(var(--aspect, 1), var(--before-after-widest, 100)); position: relative; overflow: hidden;
  aspect-ratio: var(--shape); width: min(100%, var(--before-after-height, 100vh) * var(--shape)); margin-inline: auto;
  border-radius: inherit; background: rgb(128 128 128 / 0.15); touch-action: pan-y; cursor: ew-resize; }
.frame.near { touch-action: none; cursor: grab; }
.layer { position: absolute; inset: 0; overflow: hidden; }
.before { clip-path: inset(0 calc(100% - var(--split)) 0 0); }
::slotted(*) { display: block; width: 100% !important; height: var(--height) !important; max-width: none !important;
  margin: 0 !important; object-fit: fill; transform-origin: 0 0; pointer-events: none;
  transform: translate(var(--x, 0), var(--y, 0)) scale(var(--zoom, 1)); }
.glide ::slotted(*) { transition: transform 0.7s cubic-bezier(0.3, 0, 0.1, 1); }
.line { position: absolute; inset-block: max(0px, var(--y, 0px)); left: var(--split); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 3px rgb(0 0 0 / 0.5); pointer-events: none; }
.knob { position: absolute; top: 50%; left: 50%; width: 40px; height: 40px; margin: -20px; border-radius: 50%;
  background: #fff; box-shadow: 0 1px 6px rgb(0 0 0 / 0.4); display: grid; place-items: center; color: #222; }
input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; pointer-events: none; }
input:focus-visible ~ .line .knob { outline: 3px solid var(--before-after-focus, #2f6fed); outline-offset: 3px; }
.tag { position: absolute; top: 12px; padding: 3px 10px; border-radius: 99px; font: 500 13px/1.5 system-ui, sans-serif;
  color: #fff; background: rgb(0 0 0 / 0.55); pointer-events: none; transition: opacity 0.2s; }
.tag.left { left: 12px; } .tag.right { right: 12px; }
.tag.gone { opacity: 0; }
.zoom { position: absolute; right: 12px; bottom: 12px; display: flex; border-radius: 99px; overflow: hidden;
  background: rgb(0 0 0 / 0.55); }
.zoom button { all: unset; box-sizing: border-box; min-width: 44px; height: 40px; padding: 0 6px; text-align: center;
  color: #fff; font: 500 14px/40px system-ui, sans-serif; cursor: pointer; }
.zoom button:hover { background: rgb(255 255 255 / 0.18); }
.zoom button:disabled { opacity: 0.4; cursor: default; }
.zoom button:focus-visible { outline: 3px solid #fff; outline-offset: -4px; border-radius: 99px; }
:host([plain]) .frame:not(:hover, :focus-within, .near) .zoom button:not([data-zoom=save]),
:host(:not([save])) [data-zoom=save], .zoom button[hidden],
:host([still]) :is(.line, .tag, input) { display: none; }
@media (prefers-reduced-motion: reduce) { .glide ::slotted(*) { transition: none; } }
`;
const INSIDE = `
<div class="frame">
  <div class="layer"><slot name="after"></slot></div>
  <div class="layer before"><slot name="before"></slot></div>
  <input type="range" min="0" max="100" step="1" value="50" aria-label="How much of the picture before is shown">
  <div class="line"><div class="knob"><svg width="20" height="12" viewBox="0 0 20 12" fill="none" stroke="currentColor"
    stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><path d="M6 1 1 6l5 5M14 1l5 5-5 5"/></svg></div></div>
  <span class="tag left" aria-hidden="true">Before</span><span class="tag right" aria-hidden="true">After</span>
  <div class="zoom" role="group" aria-label="Zoom"><button data-zoom="out" aria-label="Zoom out">−</button><button
    data-zoom="one" aria-label="One pixel of the picture for one of the screen">1:1</button><button data-zoom="in"
    aria-label="Zoom in">+</button><button data-zoom="save" aria-label="Save the picture after" title="Save">↓</button></div>
</div>`;
const REACH = 28; // pixels from the line at which a pointer takes the handle
const STEP = 1.5;
const between = (x, low, high) => Math.min(Math.max(x, low), high);

export class BeforeAfter extends HTMLElement {
  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' }), sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = INSIDE;
    this.frame = root.querySelector('.frame');
    this.range = root.querySelector('input');
    this.view = { zoom: 1, x: 0, y: 0 }; // of the pictures in the frame: x and y are their corner, in its pixels
    this.within = [0, 0]; // the frame's size then
    this.pointers = new Map();
    this.listen(root);
    this.value = 50;
  }

  connectedCallback() {
    this.dataset.lmSuppressShortcuts = ''; // in JupyterLab, whose own keys would go to another cell
    for (const side of ['left', 'right']) {
      if (this.hasAttribute(side)) this.frame.querySelector(`.${side}`).textContent = this.getAttribute(side);
    }
  }

  listen(root) {
    this.range.addEventListener('input', () => (this.value = this.range.valueAsNumber));
    root.addEventListener('slotchange', () => this.fit());
    this.addEventListener('load', () => this.size.join() === this.fitted || this.fit(), true); // of a picture: no bubble
    this.addEventListener('keydown', (event) => this.key(event));
    for (const button of root.querySelectorAll('button')) button.onclick = () => this.press(button.dataset.zoom);
    const { frame } = this;
    frame.addEventListener('pointerdown', (event) => this.down(event));
    frame.addEventListener('mousedown', (event) => {
      event.stopPropagation(); // a notebook would give the keyboard to its cell, where an arrow folds the section
      if (!event.target.closest('button')) event.preventDefault(); // and leave it to the handle, as `down` did
    });
    frame.addEventListener('pointermove', (event) => this.move(event));
    for (const end of ['pointerup', 'pointercancel']) frame.addEventListener(end, (event) => this.up(event));
    frame.addEventListener('dblclick', (event) => this.twice(event));
    frame.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.resized()).observe(frame);
  }

  /** Where the handle is: 0 (all is after) to 100 (all is before). */
  get value() { return this.split; }
  set value(percent) {
    this.split = between(percent, 0, 100);
    this.range.value = this.split;
    this.range.setAttribute('aria-valuetext', `${Math.round(this.split)} % before`);
    this.frame.style.setProperty('--split', `${this.split}%`);
    this.frame.querySelector('.left').classList.toggle('gone', this.split < 12);
    this.frame.querySelector('.right').classList.toggle('gone', this.split > 88);
  }

  /** The pictures' size in their own pixels. */
  get size() {
    const shown = this.querySelector('[slot=after]');
    return [shown?.naturalWidth || shown?.width || 1, shown?.naturalHeight || shown?.height || 1];
  }

  /** Takes the pictures' shape and shows all of them. Call it when a canvas has changed its size. */
  fit(glide = false) {
    const [width, height] = this.size;
    this.fitted = `${width},${height}`;
    this.frame.style.setProperty('--aspect', width / height);
    this.look({ zoom: 1, x: 0, y: 0 }, glide);
  }

  /** Shows a part of the pictures, in their own pixels, as large as the frame allows. */
  show({ left, top, width, height }) {
    const { clientWidth, clientHeight } = this.frame, unit = clientWidth / this.size[0];
    const zoom = this.allowed(Math.min(clientWidth / width, clientHeight / height) / unit), middle = zoom * unit;
    const [x, y] = [clientWidth / 2 - middle * (left + width / 2), clientHeight / 2 - middle * (top + height / 2)];
    this.look({ zoom, x, y }, true);
  }

  /** The enlargement at which a pixel of the pictures is one of the screen's. */
  get one() { return this.size[0] / (this.frame.clientWidth || 1) / devicePixelRatio; }

  allowed(zoom) { return between(zoom, 1, Math.max(8, 4 * this.one)); }

  /** What was in the middle stays there; while the frame is hidden, nothing changes. */
  resized() {
    const { clientWidth, clientHeight } = this.frame, { zoom, x, y } = this.view, [before, tall] = this.within;
    if (!clientWidth) return;
    const times = before ? clientWidth / before : 1;
    this.look({ zoom, x: clientWidth / 2 - times * (before / 2 - x), y: clientHeight / 2 - times * (tall / 2 - y) });
  }

  look({ zoom, x, y }, glide = false) {
    const { clientWidth, clientHeight, style, classList } = this.frame, [width, height] = this.size;
    this.within = [clientWidth, clientHeight];
    const tall = (clientWidth * height) / width; // of the pictures when nothing is enlarged
    const free = clientHeight - zoom * tall; // above and below them, or less than none
    zoom = this.allowed(zoom);
    x = between(x, clientWidth * (1 - zoom), 0);
    y = free > 0 ? free / 2 : between(y, free, 0);
    this.view = { zoom, x, y };
    classList.toggle('glide', glide);
    classList.toggle('near', zoom > 1);
    for (const [name, value] of [['zoom', zoom], ['x', `${x}px`], ['y', `${y}px`], ['height', `${tall}px`]]) {
      style.setProperty(`--${name}`, value);
    }
    this.frame.querySelector('[data-zoom=out]').disabled = zoom === 1;
    this.frame.querySelector('[data-zoom=one]').hidden = this.one <= 1; // enlarged as it is: there is no way to it
  }

  /** Enlarges by a factor; the place (x, y) of the frame stays where it is. */
  zoomBy(factor, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2, glide = false) {
    const zoom = this.allowed(this.view.zoom * factor), times = zoom / this.view.zoom;
    this.look({ zoom, x: x - times * (x - this.view.x), y: y - times * (y - this.view.y) }, glide);
  }

  press(button) {
    const href = this.querySelector('[slot=after]').src;
    if (button === 'save') return Object.assign(document.createElement('a'), { href, download: this.getAttribute('save') }).click();
    const factor = { out: 1 / STEP, in: STEP, one: this.one / this.view.zoom }[button];
    this.zoomBy(factor, undefined, undefined, true);
  }

  key(event) {
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === '+' || event.key === '=') this.press('in');
    else if (event.key === '-') this.press('out');
    else if (event.key === '0') this.fit(true);
    else if (event.shiftKey && arrow) {
      this.look({ ...this.view, x: this.view.x + 40 * arrow[0], y: this.view.y + 40 * arrow[1] });
    } else if (arrow || event.key === 'Home' || event.key === 'End') return event.stopPropagation(); // the handle's
    else return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
  }

  /** A pointer's place in the frame. */
  place({ clientX, clientY }) {
    const { left, top } = this.frame.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  down(event) {
    if (event.target.closest('button') || event.button) return;
    const at = this.place(event), split = (this.split / 100) * this.frame.clientWidth;
    this.pointers.set(event.pointerId, at);
    this.frame.setPointerCapture(event.pointerId);
    this.moves = this.view.zoom > 1 && Math.abs(at[0] - split) > REACH ? 'picture' : 'handle';
    if (event.pointerType === 'mouse') this.range.focus({ preventScroll: true });
    if (this.moves === 'handle') this.value = (100 * at[0]) / this.frame.clientWidth;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = this.place(event), others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, at);
    if (others.length) this.pinch(before, at, others[0][1]);
    else if (this.moves === 'handle') this.value = (100 * at[0]) / this.frame.clientWidth;
    else this.look({ ...this.view, x: this.view.x + at[0] - before[0], y: this.view.y + at[1] - before[1] });
  }

  pinch(before, at, other) {
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    this.zoomBy(apart(at) / Math.max(1, apart(before)), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
    this.moves = 'picture';
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  twice(event) {
    if (event.target.closest('button')) return;
    if (this.view.zoom > 1) this.fit(true);
    else this.zoomBy(Math.max(2, this.one), ...this.place(event), true);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 200), ...this.place(event));
  }
}

if (!customElements.get('before-after')) customElements.define('before-after', BeforeAfter);
