/** The page: what is pressed and what is shown. All that takes time is in worker.js. */
import './before_after.js';
import { readPhotograph, savePicture, takePhotograph } from './files.js';

const byId = (id) => document.getElementById(id);
const [before, after] = document.querySelectorAll('#result canvas');
const [result, status, progress, sharpness] = ['result', 'status', 'progress', 'sharpness'].map(byId);
const search = new URLSearchParams(location.search);
/**
 * What is on the page: the settings, what was loaded, the number of the job, its file, photograph (a small copy?) and
 * faces, and what each network made.
 */
const now = { settings: null, bytes: { loaded: 0, total: 0 }, ready: false, job: 0, file: null, photograph: null,
  copied: false, faces: [], made: {} };
let worker;

/** Puts the service worker before the page, once: with it there are threads, and the page works without a network. */
async function isolate() {
  if (!navigator.serviceWorker || self.crossOriginIsolated || sessionStorage.isolated) return;
  sessionStorage.isolated = 'tried';
  try {
    await navigator.serviceWorker.register('sw.js');
    await navigator.serviceWorker.ready;
    location.reload();
    await new Promise(() => {}); // until then
  } catch (error) {
    console.warn('The page will not work without a network.', error);
  }
}

function start() {
  now.known = new Promise((know) => (now.know = know));
  worker = new Worker(`worker.js${location.search}`, { type: 'module' });
  worker.onmessage = ({ data }) => { if (!data.job || data.job === now.job) hear[data.step](data); };
  worker.onerror = (event) => fail(`The page could not start: ${event.message || 'its worker was not loaded'}`);
  byId('file').onchange = ({ target }) => { if (target.files[0]) take(target.files[0]); target.value = ''; };
  byId('save').onclick = () => savePicture(after, now.file);
  byId('whole').onclick = () => send(true);
  byId('small').onclick = () => take(now.file, pixelsOfCopy());
  sharpness.control.oninput = blend;
  byId('try').onclick = async () => take(new File([await (await fetch('example.png')).blob()], 'example.png'));
  byId('camera').hidden = !navigator.mediaDevices?.getUserMedia;
  byId('camera').onclick = () => takePhotograph(byId('booth')).then((file) => file && take(file),
    (error) => fail(`The camera cannot be used: ${error.message}.`));
  document.addEventListener('paste', ({ clipboardData }) => { if (clipboardData.files[0]) take(clipboardData.files[0]); });
  for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) document.addEventListener(kind, drag);
}

function drag(event) {
  event.preventDefault();
  document.body.classList.toggle('dropping', event.type.startsWith('drage') || event.type === 'dragover');
  if (event.type === 'drop' && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
}

/** Begins with a file; with a small copy of it, if it says of how many pixels. */
async function take(file, copyPixels) {
  const job = ++now.job;
  clearInterval(now.clock);
  tell('Opening the picture …', null);
  try {
    const { pastedPixels, smallPicture } = await now.known;
    const photograph = await readPhotograph(file, copyPixels ?? pastedPixels);
    if (job !== now.job) return;
    Object.assign(now, { file, photograph, faces: [], copied: Boolean(copyPixels) });
    show(photograph);
    send(Math.max(photograph.width, photograph.height) <= smallPicture);
  } catch (error) {
    fail(error.message);
  }
}

/** Shows a photograph as it came: there is no handle yet. */
function show(photograph) {
  document.body.dataset.state = 'own';
  byId('example').hidden = true;
  byId('choose').firstChild.textContent = 'Another photograph';
  result.hidden = false;
  result.toggleAttribute('still', true);
  draw(photograph);
  result.value = 50;
}

function draw({ width, height, data }) {
  for (const canvas of [before, after]) {
    Object.assign(canvas, { width, height });
    canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
  }
  now.made = {};
  sharpness.hidden = sharpness.control.disabled = true;
  result.fit();
}

/** Notes a face that a network made, and shows it. */
function put(network, { number, left, top, photograph }) {
  const { width, height, data } = photograph, { width: across, height: down } = before;
  const made = (now.made[network] ??= { canvas: new OffscreenCanvas(across, down), parts: [] });
  made.canvas.getContext('2d').putImageData(new ImageData(data, width, height), left, top);
  made.parts.push([left, top, width, height]);
  now.faces[number].state = 'done';
  blend();
}

/** The faces of the faithful network, and over them those of the sharp one, as opaque as the slider says. */
function blend() {
  const context = after.getContext('2d'), weight = Number(sharpness.control.value);
  const over = (network, alpha) => {
    context.globalAlpha = alpha;
    for (const part of network?.parts ?? []) context.drawImage(network.canvas, ...part, ...part);
  };
  over(now.made.faithful, 1);
  if (weight) over(now.made.sharp, weight);
}

/** Sends the photograph to the worker, as one that holds faces or as one face. */
function send(whole) {
  for (const id of ['save', 'whole', 'small', 'faces']) byId(id).hidden = true;
  now.job++;
  if (now.ready) tell('Looking for faces …', null);
  else tellLoading();
  worker.postMessage({ job: now.job, whole, photograph: now.photograph });
}

/** What the worker says, step by step. */
const hear = {
  settings: ({ settings }) => now.know(Object.assign(now, { settings }).settings),
  loading({ loaded, total }) {
    now.bytes = { loaded, total };
    if (now.photograph) tellLoading();
  },
  ready({ name, secondsPerPixel }) {
    Object.assign(now, { ready: true, secondsPerPixel });
    document.body.dataset.runtime = name;
  },
  searching: () => tell('Looking for faces …', null),
  found({ faces, photograph }) {
    Object.assign(now, { faces: faces.map((face) => ({ ...face, state: face.kept ? 'kept' : 'waiting' })) });
    if (faces.length) draw(photograph);
    count();
  },
  faithful(part) {
    put('faithful', part);
    result.toggleAttribute('still', false);
    if (now.made.faithful.parts.length === 1) lookAt(now.faces[part.number]);
    showFaces();
    count();
  },
  sharp(part) {
    put('sharp', part);
    sharpness.control.disabled = false;
  },
  left({ number, kept }) {
    Object.assign(now.faces[number], { state: 'kept', kept });
    count();
  },
  done({ network, seconds }) {
    if (network === 'faithful') finish(seconds);
    else sharpness.hidden = !now.made.sharp;
  },
  failed: ({ message }) => fail(message),
};

/** Says which face is being restored, and lets the bar run as long as it should take. */
function count() {
  const waiting = now.faces.filter(({ state }) => state === 'waiting'), all = now.faces.filter(({ kept }) => !kept);
  const pixels = (faces) => faces.reduce((sum, face) => sum + face.pixels, 0), started = performance.now();
  clearInterval(now.clock);
  if (!waiting.length) return;
  const text = all.length === 1 ? 'Restoring the face …' : `Restoring face ${all.length - waiting.length + 1} of ${all.length} …`;
  const tick = () => {
    const expected = (performance.now() - started) / 1000 / now.secondsPerPixel;
    const finished = pixels(all) - pixels(waiting) + Math.min(expected, 0.95 * waiting[0].pixels);
    progress.value = finished / pixels(all);
  };
  tell(text, 0);
  tick();
  now.clock = setInterval(tick, 100);
}

function finish(seconds) {
  clearInterval(now.clock);
  const kept = now.faces.filter((face) => face.kept), done = now.faces.length - kept.length;
  const { width, height } = now.photograph, copy = now.copied ? `, in a copy of ${width}×${height} pixels` : '';
  byId('save').hidden = sharpness.hidden = !done;
  byId('small').hidden = done || !kept.length || pixelsOfCopy() >= width * height;
  if (done) tell(`${named(done)} restored in ${seconds.toFixed(1)} seconds${copy}.${reasons(kept)}`);
  else if (kept.length) tell(`Nothing to do.${reasons(kept)}`);
  else {
    const small = Math.max(width, height) <= now.settings.largestFace;
    byId('whole').hidden = !small;
    tell(`No face was found in this picture.${small ? '' : ' Cut out the part with the face, and try that.'}`);
  }
}

/** How many pixels the photograph has when its largest face is small. */
function pixelsOfCopy() {
  const { width, height } = now.photograph, enlarged = before.width / width;
  const widest = Math.max(...now.faces.map(({ side }) => side)) / enlarged;
  return width * height * (now.settings.smallCopy / widest) ** 2;
}

const named = (count) => (count === 1 ? '1 face' : `${count} faces`);

/** Why some were left alone. */
function reasons(faces) {
  const alike = Map.groupBy(faces, ({ kept }) => kept);
  return [...alike].map(([reason, { length }]) => ` ${named(length)} left alone: ${reason}.`).join('');
}

/** A button for each restored face, from left to right, and one for the whole picture. */
function showFaces() {
  const group = byId('faces');
  const done = now.faces.filter(({ state }) => state === 'done').sort((one, other) => one.x - other.x);
  group.replaceChildren(button('All', 'The whole picture', () => result.fit(true)));
  done.forEach((face, i) => group.append(button(portrait(face), `Face ${i + 1}`, () => lookAt(face))));
  group.hidden = now.faces.length < 2;
}

function button(content, label, action) {
  const made = document.createElement('button');
  made.type = 'button';
  made.ariaLabel = label;
  made.append(content);
  made.onclick = action;
  return made;
}

function portrait({ x, y, side }) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 112, height: 112 });
  canvas.getContext('2d').drawImage(after, x - side / 2, y - side / 2, side, side, 0, 0, 112, 112);
  return canvas;
}

function lookAt({ x, y, side }) {
  result.show({ left: x - 0.75 * side, top: y - 0.75 * side, width: 1.5 * side, height: 1.5 * side });
}

/** Says what goes on, and how much of it is done: null where nobody knows, nothing where it is over. */
function tell(text, part) {
  status.textContent = text;
  status.classList.remove('problem');
  progress.hidden = part === undefined;
  if (part === null) progress.removeAttribute('value');
  else progress.value = part ?? 0;
}

/** What a photograph waits for until the networks are there. */
function tellLoading() {
  const { loaded, total } = now.bytes, megabytes = (bytes) => Math.round(bytes / 1e6);
  if (loaded < total) tell(`Loading, ${megabytes(loaded)} of ${megabytes(total)} MB`, loaded / total);
  else tell('Preparing the networks …', null);
}

function fail(message) {
  tell(message);
  status.classList.add('problem');
}

await isolate();
document.querySelectorAll('.excuse').forEach((element) => element.remove());
start();
