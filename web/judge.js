/**
 * From how many pixels a face is restored, and whether it is at all. The twin of elsface_lite/inference/judge.py.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {import('./box.js').Box} Box
 */
import { clamp, padded, picture, resize } from './pictures.js';

/**
 * How often a face can be halved before it loses detail.
 *
 * @param {Picture} face and what lies around it
 * @param {number} side of the face itself
 */
export function halvings(face, side, { full, faint, narrowestFace }) {
  let count = 0, { half, detail } = octave(gray(face));
  while (side / 2 >= narrowestFace && Math.min(half.width, half.height) > 1) {
    const next = octave(half);
    if (detail >= Math.max(full * next.detail, faint)) break;
    ({ half, detail } = next);
    side /= 2;
    count++;
  }
  return count;
}

/** Shrunk by a power of two, in 8-bit values. */
export function halved(face, times) {
  const small = shrunk(face, 2 ** times);
  small.data.forEach((value, i) => (small.data[i] = roundToEven(255 * clamp(value)) / 255));
  return small;
}

/**
 * Why a face is left as it is; null if it is to be restored.
 *
 * @param {Box} place in the picture that the network would take
 */
export function judge({ side }, { detailedFace, largestFace }) {
  if (side > detailedFace) return `large as it is, with ${side.toFixed(0)} pixels`;
  if (side > largestFace) {
    return `already sharp (${side.toFixed(0)} pixels with hair and chin); this page is for faces of up to ${largestFace}`;
  }
  return null;
}

/**
 * Whether a restored face goes through the network again, from half of its pixels: it is smaller than it was, and not
 * large.
 *
 * @param {number} side of the restored face
 * @param {number} before of the face in its photograph
 */
export function unfinished(side, before, { detailedFace }) {
  return side < before && side <= detailedFace;
}

/** Why a restored face is not put back; null if it is. */
export function unchanged(before, after, { visible }) {
  const sum = after.data.reduce((total, value, i) => total + (value - before.data[i]) ** 2, 0);
  const change = Math.sqrt(sum / after.data.length);
  return change < visible ? `restored, it changes by ${(255 * change).toFixed(1)} of 255` : null;
}

function shrunk(image, factor) {
  const whole = padded(image, Math.ceil(image.width / factor) * factor, Math.ceil(image.height / factor) * factor);
  return resize(whole, whole.width / factor, whole.height / factor);
}

/** A picture of half the size, and the root mean square of what it lost by that, in its first channel. */
function octave(image) {
  const half = shrunk(image, 2), again = resize(half, 2 * half.width, 2 * half.height);
  let sum = 0;
  for (let y = 0, from = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++, from++) sum += (image.data[from] - again.data[y * again.width + x]) ** 2;
  }
  return { half, detail: Math.sqrt(sum / (image.width * image.height)) };
}

/** All three channels their mean. */
function gray({ width, height, data }) {
  const size = width * height, mean = picture(width, height);
  for (let i = 0; i < size; i++) {
    mean.data[i] = mean.data[i + size] = mean.data[i + 2 * size] = (data[i] + data[i + size] + data[i + 2 * size]) / 3;
  }
  return mean;
}

/** As PyTorch rounds. */
function roundToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
