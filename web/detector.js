/**
 * MTCNN: a box and five landmarks of each face, by three small networks, each stricter than the one before. The twin of
 * elsface_lite/inference/detector.py, step by step.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {[number, number, number, number]} Sides left, top, right, bottom in pixels
 * @typedef {{box: Sides, score: number, shift?: number[], landmarks?: [number, number][]}} Candidate
 * @typedef {(windows: Float32Array, shape: number[]) => Promise<Record<string, {data: Float32Array, dims: number[]}>>}
 *     Stage (n, 3, h, w) -> scores, shifts and, the third, landmarks
 * @typedef {Stage[]} Stages
 */
import { average, between } from './pictures.js';

const BATCH = 256;
// Boxes are reckoned in float32, as in PyTorch: on the first stage's grid many overlap by exactly the limit, and the
// last bit decides which of them are kept.
const f32 = Math.fround;

/**
 * @param {Picture} image values in [-1, 1]
 * @param {object} settings what build.py writes
 * @param {Stages} stages
 * @returns {Promise<Candidate[]>} the landmarks are left and right eye, nose, left and right corner of the mouth
 */
export async function detect(image, settings, stages) {
  let found = await propose(image, settings, stages[0]);
  found = await judge(image, found, 24, settings.thresholds[1], stages[1], settings);
  return judge(image, found, 48, settings.thresholds[2], stages[2], settings);
}

/** The first stage on every level of a pyramid. */
async function propose(image, settings, stage) {
  const { width, height } = image, whole = { left: 0, top: 0, right: width, bottom: height }, found = [];
  for (let scale = settings.cell / settings.window; ; scale *= settings.shrink) {
    if (scale * Math.min(width, height) < settings.cell) break;
    const [w, h] = [Math.trunc(width * scale), Math.trunc(height * scale)];
    const level = new Float32Array(3 * w * h);
    average(image, whole, w, h, level);
    const slid = slide(await stage(level, [1, 3, h, w]), scale, settings);
    found.push(...suppress(slid, 0.5, settings).map(shifted));
  }
  return suppress(found, 0.7, settings);
}

/** What the first stage says of one level. */
function slide({ scores, shifts }, scale, { thresholds, stride, cell }) {
  const columns = scores.dims[3], size = scores.dims[2] * columns, found = [];
  for (let i = 0; i < size; i++) {
    if (scores.data[i] <= thresholds[0]) continue;
    const [x, y] = [stride * (i % columns), stride * Math.floor(i / columns)];
    const box = [x, y, x + cell, y + cell].map((side) => f32(side / f32(scale)));
    found.push({ box, score: scores.data[i], shift: [0, 1, 2, 3].map((k) => shifts.data[k * size + i]) });
  }
  return found;
}

/** A later stage on the windows that are left. */
async function judge(image, candidates, size, threshold, stage, settings) {
  const found = [];
  for (let start = 0; start < candidates.length; start += BATCH) {
    const boxes = candidates.slice(start, start + BATCH).map(({ box }) => square(box));
    const { scores, shifts, landmarks } = await stage(windows(image, boxes, size), [boxes.length, 3, size, size]);
    boxes.forEach((box, i) => {
      if (scores.data[i] <= threshold) return;
      const [side] = sizeOf(box), points = landmarks?.data.subarray(10 * i, 10 * i + 10); // x of all five, then y
      found.push({
        box, score: scores.data[i], shift: [...shifts.data.subarray(4 * i, 4 * i + 4)],
        landmarks: points && [0, 1, 2, 3, 4].map((k) => [box[0] + side * points[k], box[1] + side * points[k + 5]]),
      });
    });
  }
  return suppress(found.map(shifted), 0.5, settings);
}

/** Moves the four sides by fractions of the box's width and height. */
function shifted({ box, shift, ...rest }) {
  const size = sizeOf(box);
  return { ...rest, box: box.map((side, k) => f32(side + f32(shift[k] * size[k % 2]))) };
}

const sizeOf = ([left, top, right, bottom]) => [f32(right - left), f32(bottom - top)];

/** The square around the box's centre with its longer side. */
function square(box) {
  const [left, top, right, bottom] = box, half = Math.max(...sizeOf(box)) / 2;
  const [x, y] = [f32(left + right) / 2, f32(top + bottom) / 2];
  return [x - half, y - half, x + half, y + half].map(f32);
}

/** Cuts each box out, mid-grey beyond the border: (n, 3, size, size). */
function windows(image, boxes, size) {
  const cutOut = new Float32Array(boxes.length * 3 * size * size);
  boxes.forEach((box, i) => {
    const [left, top, right, bottom] = box.map(Math.round);
    const window = cutOut.subarray(i * 3 * size * size, (i + 1) * 3 * size * size);
    const fill = right - left >= size ? average : between; // of a few pixels, means would make blocks
    fill(image, { left, top, right, bottom }, size, size, window);
  });
  return cutOut;
}

/** Non-maximum suppression: of boxes that overlap by more than the limit, the surest is kept. */
function suppress(candidates, limit, { maxBoxes }) {
  const left = candidates.toSorted((a, b) => b.score - a.score).slice(0, maxBoxes), kept = [];
  for (const one of left) if (!kept.some((other) => overlaps(other.box, one.box, limit))) kept.push(one);
  return kept;
}

function overlaps(a, b, limit) {
  const width = f32(Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = f32(Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  if (width <= 0 || height <= 0) return false;
  const inner = f32(width * height);
  return inner > f32(f32(limit) * f32(f32(area(a) + area(b)) - inner));
}

function area(box) {
  const [width, height] = sizeOf(box);
  return f32(width * height);
}
