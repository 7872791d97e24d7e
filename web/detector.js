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

/**
 * @param {Picture} image values in [-1, 1]
 * @param {object} settings what build.py writes
 * @param {Stages} stages
 * @returns {Promise<Candidate[]>} the landmarks are left and right eye, nose, left and right corner of the mouth
 */
export async function detect(image, settings, stages) {
  const levels = pyramid(image, settings);
  let found = await propose(levels.slice(1), settings, stages[0]);
  found = await judge(levels, found, 24, settings.thresholds[1], stages[1]);
  return judge(levels, found, 48, settings.thresholds[2], stages[2]);
}

/** The picture itself, and levels in which faces are as large as the first stage's windows. */
function pyramid(image, { cell, window, shrink }) {
  const levels = [{ image, scale: 1 }];
  for (let scale = cell / window; scale * Math.min(image.width, image.height) >= cell; scale *= shrink) {
    const { image: larger } = levels[Math.max(0, levels.length - 2)];
    const level = average(larger, Math.trunc(image.width * scale), Math.trunc(image.height * scale));
    levels.push({ image: level, scale });
  }
  return levels;
}

/** The first stage on every level: the surest first. */
async function propose(levels, settings, stage) {
  const found = [];
  for (const { image, scale } of levels) {
    const windows = slide(await stage(image.data, [1, 3, image.height, image.width]), settings);
    for (const { box, ...rest } of suppress(windows, 0.5)) {
      found.push(shifted({ box: box.map((side) => side / scale), ...rest }));
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, settings.maxBoxes);
}

/** What the first stage says of one level, in its pixels. */
function slide({ scores, shifts }, { thresholds, stride, cell }) {
  const columns = scores.dims[3], size = scores.dims[2] * columns, found = [];
  for (let i = 0; i < size; i++) {
    if (scores.data[i] <= thresholds[0]) continue;
    const [x, y] = [stride * (i % columns), stride * Math.floor(i / columns)];
    const shift = [0, 1, 2, 3].map((k) => shifts.data[k * size + i]);
    found.push({ box: [x, y, x + cell, y + cell], score: scores.data[i], shift });
  }
  return found;
}

/** A later stage on the windows that are left. */
async function judge(levels, candidates, size, threshold, stage) {
  const found = [];
  for (let start = 0; start < candidates.length; start += BATCH) {
    const boxes = candidates.slice(start, start + BATCH).map(({ box }) => square(box));
    const { scores, shifts, landmarks } = await stage(windows(levels, boxes, size), [boxes.length, 3, size, size]);
    boxes.forEach((box, i) => {
      if (scores.data[i] <= threshold) return;
      const [side] = sizeOf(box), points = landmarks?.data.subarray(10 * i, 10 * i + 10); // x of all five, then y
      found.push({
        box, score: scores.data[i], shift: [...shifts.data.subarray(4 * i, 4 * i + 4)],
        landmarks: points && [0, 1, 2, 3, 4].map((k) => [box[0] + side * points[k], box[1] + side * points[k + 5]]),
      });
    });
  }
  return suppress(found.map(shifted), 0.5);
}

/** Moves the four sides by fractions of the box's width and height. */
function shifted({ box, shift, ...rest }) {
  const size = sizeOf(box);
  return { ...rest, box: box.map((side, k) => side + shift[k] * size[k % 2]) };
}

const sizeOf = ([left, top, right, bottom]) => [right - left, bottom - top];

/** The square around the box's centre with its longer side. */
function square(box) {
  const [left, top, right, bottom] = box, half = Math.max(...sizeOf(box)) / 2;
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return [x - half, y - half, x + half, y + half];
}

/** Cuts each box out of the level that has little more pixels than needed: (n, 3, size, size). */
function windows(levels, boxes, size) {
  const cutOut = new Float32Array(boxes.length * 3 * size * size);
  boxes.forEach((box, i) => {
    const [side] = sizeOf(box), { image, scale } = levels.findLast((level, n) => !n || side * level.scale >= size);
    const [left, top, right, bottom] = box.map((place) => place * scale);
    const window = cutOut.subarray(i * 3 * size * size, (i + 1) * 3 * size * size);
    between(image, { left, top, right, bottom }, size, size, window);
  });
  return cutOut;
}

/** Non-maximum suppression: of boxes that overlap by more than the limit, the surest is kept. */
function suppress(candidates, limit) {
  const kept = [];
  for (const one of candidates.toSorted((a, b) => b.score - a.score)) {
    if (!kept.some((other) => overlaps(other.box, one.box, limit))) kept.push(one);
  }
  return kept;
}

function overlaps(a, b, limit) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return false;
  return width * height > limit * (area(a) + area(b) - width * height);
}

function area(box) {
  const [width, height] = sizeOf(box);
  return width * height;
}
