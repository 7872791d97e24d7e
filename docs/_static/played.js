/**
 * The widgets of chapters 01 and 04 on the site, where there is no kernel: docs/played.py has made the numbers
 * beforehand, live.js gives pointer and keyboard, and this file draws.
 */
import live from './live.js';

const FOLDER = new URL('played/', import.meta.url);
const numbers = await (await fetch(new URL('numbers.json', FOLDER))).json();

/** The pixels of a picture: width, height, and data with four values each, 0 to 255. */
async function pixels(name) {
  const image = new Image();
  image.src = new URL(`${name}.webp`, FOLDER);
  await image.decode();
  const page = new OffscreenCanvas(image.width, image.height).getContext('2d');
  page.drawImage(image, 0, 0);
  return page.getImageData(0, 0, image.width, image.height);
}

/** A figure whose colours a function gives for each column and row; with a frame around one, in squares. */
function figure(columns, rows, color, { alt, caption, width, marks = '', frame }) {
  const small = new OffscreenCanvas(columns, rows), image = new ImageData(columns, rows);
  for (let i = 0; i < columns * rows; i++) {
    const [r, g, b] = color(i % columns, Math.floor(i / columns));
    image.data.set([r, g, b, 255], 4 * i);
  }
  small.getContext('2d').putImageData(image, 0, 0);
  const canvas = document.createElement('canvas'), size = frame ? Math.round(width / columns) : 1;
  [canvas.width, canvas.height] = [size * columns, size * rows];
  const page = canvas.getContext('2d');
  page.imageSmoothingEnabled = false;
  page.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (frame) {
    page.strokeStyle = '#e69f00';
    page.lineWidth = Math.max(2, size / 8);
    page.strokeRect(size * frame[1], size * frame[0], size, size);
  }
  const img = `<img alt="${alt}" src="${canvas.toDataURL()}" ${marks} style="width:100%;background:white">`;
  const style = `margin:0;width:${width}px;max-width:100%`;
  return `<figure style="${style}">${img}<figcaption>${caption}</figcaption></figure>`;
}

const at = ({ data, width }, x, y) => {
  const i = 4 * (y * width + x);
  return [data[i], data[i + 1], data[i + 2]];
};
const row = (figures) => `<div style="display:flex;flex-wrap:wrap;gap:8px">${figures.join('')}</div>`;
const share = (x) => (100 * x).toFixed(2);

/**
 * Puts a widget below the cell that makes it: a control of HTML with its name, and pictures that `html` draws of a
 * state. It takes the place of the picture that the widget left there.
 */
function play(maker, name, control, state, html) {
  const cell = [...document.querySelectorAll('.cell')].find((cell) => cell.textContent.includes(`${maker}(`));
  if (!cell) return;
  const [box, label, el] = ['div', 'label', 'div'].map((kind) => document.createElement(kind));
  box.className = 'cell_output played';
  label.append(name, control);
  box.append(label, el);
  cell.querySelector('.cell_output')?.remove();
  cell.after(box);
  let redraw;
  const change = (asked) => {
    Object.assign(state, asked);
    redraw();
  };
  live.render({ el, model: { get: () => html(state), on: (_, draw) => (redraw = draw), send: change } });
  return change;
}

async function attention() {
  const [weights, places, lr, viridis] = await Promise.all(['weights', 'places', 'lr', 'viridis'].map(pixels));
  const { most, window: side } = numbers.attention, area = side ** 2;
  const of = (picture, head, row, k) => most[head] * (at(picture, head * area + k, row)[0] / 255) ** 2;
  const menu = document.createElement('select');
  menu.add(new Option('mean of all heads', -1));
  most.forEach((_, head) => menu.add(new Option(`head ${head}`, head)));
  const draw = ({ head, row: y, column: x }) => {
    const heads = head < 0 ? most.map((_, i) => i) : [head], token = y * lr.width + x;
    const mean = (picture, row) => {
      const sums = Array.from({ length: area }, (_, k) => heads.reduce((sum, h) => sum + of(picture, h, row, k), 0));
      const all = sums.reduce((sum, v) => sum + v, 0); // weights are rounded to 8 bits, and their sum with them
      return sums.map((v) => v / all);
    };
    const values = mean(weights, token), alone = mean(places, (y % side) * side + (x % side));
    const highest = Math.max(...values, ...alone), [top, left] = [y - (y % side), x - (x % side)];
    const inside = (column, row) => column >= left && column < left + side && row >= top && row < top + side;
    const value = (column, row) => values[(row - top) * side + column - left] / Math.max(...values);
    const light = (column, row) => (inside(column, row) ? 0.2 + 0.8 * value(column, row) : 0.45);
    const even = Math.exp(-values.reduce((sum, v) => sum + (v && v * Math.log(v)), 0));
    const where = `row ${y}, column ${x}, ${menu.selectedOptions[0].text}`;
    const map = (values, words) => {
      const caption = `${words}; ${share(Math.min(...values))} to ${share(Math.max(...values))} % each`;
      return figure(side, side, (c, r) => at(viridis, 0, Math.round((255 * values[r * side + c]) / highest)), {
        alt: `Weights of the window's tokens: ${caption}`, caption, width: 176, frame: [y % side, x % side],
      });
    };
    return row([
      figure(lr.width, lr.height, (column, row) => at(lr, column, row).map((v) => v * light(column, row)), {
        alt: `The LR face, bright where the token at ${where} attends`, caption: `bright: attended. ${where}`,
        width: 320, frame: [y, x], marks: `data-grid="${lr.height} ${lr.width}" data-at="${y} ${x}"`,
      }),
      map(values, `takes from ${even.toFixed(1)} of ${area} tokens`),
      map(alone, `by place alone (the bias), yellow ${share(highest)} % in both`),
    ]);
  };
  const change = play('attention_explorer', 'head', menu, { head: -1, row: 12, column: 12 }, draw);
  menu.onchange = () => change({ head: Number(menu.value) });
}

async function bands() {
  const [hr, spectrum, low] = await Promise.all(['hr', 'spectrum', 'low'].map(pixels));
  const { cutoffs, names, low: decibels, bicubic } = numbers.bands, side = hr.width, columns = low.width / side;
  const slider = Object.assign(document.createElement('input'), { type: 'range', min: 0, max: cutoffs.length - 1 });
  const apart = (x, y) => Math.hypot(x - side / 2, y - side / 2) / side;
  const draw = ({ step }) => {
    const cutoff = cutoffs[step], [left, top] = [side * (step % columns), side * Math.floor(step / columns)];
    const passed = (x, y) => at(low, left + x, top + y);
    const middle = Math.round(side / 2), written = (v) => `<td>${v > 60 ? '&gt; 60' : v}</td>`;
    const cells = (name, values) => `<tr><th>${name}</th>${values.map(written).join('')}</tr>`;
    const rest = (x, y) => passed(x, y).map((v, c) => Math.min(255, Math.max(0, 128 + at(hr, x, y)[c] - v)));
    return row([
      figure(side, side, (x, y) => at(spectrum, x, y).map((v) => v * (apart(x, y) <= cutoff ? 1 : 0.3)), {
        alt: `Spectrum, bright within ${cutoff} cycles per pixel`, caption: 'spectrum; bright: low-pass', width: 224,
        marks: `data-grid="${side} ${side}" data-at="${middle} ${middle + Math.round(cutoff * side)}"`,
      }),
      figure(side, side, passed, {
        alt: `Face low-passed at ${cutoff} cycles per pixel`, caption: `low-pass at ${cutoff.toFixed(2)}`, width: 224,
      }),
      figure(side, side, rest, {
        alt: `What lies above ${cutoff} cycles per pixel, on grey`, caption: 'high-pass, on grey', width: 224,
      }),
    ]) + `<table>${[['PSNR in dB, band', names], ['low-pass', decibels[step]], ['bicubic', bicubic]]
      .map((line) => cells(...line)).join('')}</table>`;
  };
  const nearest = (cutoff) => Math.min(cutoffs.length - 1, Math.max(0, Math.round(cutoff / cutoffs[0]) - 1));
  const state = { step: 0, set row(y) { this.y = y; }, set column(x) { this.step = nearest(apart(x, this.y)); } };
  const change = play('frequency_explorer', 'cutoff', slider, state, (state) => {
    slider.value = state.step;
    return draw(state);
  });
  slider.oninput = () => change({ step: slider.valueAsNumber });
  change({ step: nearest(1 / 8) });
}

const [, chapter] = location.pathname.match(/\/(0[14])_/) ?? [];
if (chapter === '01') await bands();
if (chapter === '04') await attention();
