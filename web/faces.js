/**
 * Faces in photographs: cut out, and put back. The twin of elsface_lite/inference/faces.py, step by step.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {import('./pictures.js').Photograph} Photograph
 * @typedef {import('./box.js').Box} Box
 */
import { clamp, clamped, cut, picture, resize, resized, sample } from './pictures.js';

/**
 * Cuts a box out, upright, without aliasing.
 *
 * @param {Picture | Photograph} image
 * @param {Box} box
 * @returns {Picture} of size x size
 */
export function cropFace(image, box, size) {
  const bounds = boundsOf(box, image.width, image.height), part = cut(image, bounds);
  const times = (2 * size) / box.side; // shrunk first: what follows reads only the nearest 4x4 pixels
  const shrunk = times < 1 ? resized(part, times) : part;
  const sampled = box.side <= size ? size : 2 * size;
  const [a, b, c, d, e, f] = toPhotograph(box, sampled);
  const [across, down] = [shrunk.width / part.width, shrunk.height / part.height];
  const places = [(a - bounds.left) * across, b * across, c * across, (d - bounds.top) * down, e * down, f * down];
  const face = sample(shrunk, sampled, sampled, places);
  return clamped(sampled === size ? face : resize(face, size, size));
}

/**
 * Cuts the neighbourhood of a box out, its pixels as they are.
 *
 * @returns {{face: Picture, place: Box}} and the box in it
 */
export function cutAround(photograph, box) {
  const bounds = boundsOf(box, photograph.width, photograph.height);
  return { face: cut(photograph, bounds), place: { ...box, x: box.x - bounds.left, y: box.y - bounds.top } };
}

/** Where in the photograph the pixels of a face of so many lie: see `sample`. */
function toPhotograph({ x, y, side, angle }, pixels) {
  const cos = (side / pixels) * Math.cos(angle), sin = (side / pixels) * Math.sin(angle), half = pixels / 2;
  return [x - half * (cos - sin), cos, -sin, y - half * (sin + cos), sin, cos];
}

/** The inverse: where pixels of the photograph lie in the box, whose sides are at -1 and 1. */
function toBox({ x, y, side, angle }) {
  const cos = (2 / side) * Math.cos(angle), sin = (2 / side) * Math.sin(angle);
  return [-cos * x - sin * y, cos, sin, sin * x - cos * y, -sin, cos];
}

/** The part of a photograph that a box touches, and a little more. */
function boundsOf({ x, y, side, angle }, width, height) {
  const half = (side / 2) * (Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle))) * 1.02 + 4;
  const low = (middle, end) => Math.min(Math.max(Math.trunc(middle - half), 0), end - 1);
  const high = (middle, end) => Math.min(Math.max(Math.ceil(middle + half), 1), end);
  return { left: low(x, width), top: low(y, height), right: high(x, width), bottom: high(y, height) };
}

/**
 * Puts a face back where it was cut, without a seam: its detail, the photograph's colours, fading out at its sides.
 *
 * @param {Photograph} photograph changed in place
 * @param {Picture} face
 * @param {Box} box
 * @returns {import('./pictures.js').Part} what was changed
 */
export function pasteFace(photograph, face, box, { feather, shrunk }) {
  face = withColours(face, cropFace(photograph, box, face.width));
  if (box.side < shrunk * face.width) face = resized(face, box.side / face.width);
  const bounds = boundsOf(box, photograph.width, photograph.height), { left, top, right, bottom } = bounds;
  const [a, b, c, d, e, f] = toBox(box), u0 = a + b * left + c * top, v0 = d + e * left + f * top;
  const [across, down] = [face.width / 2, face.height / 2];
  const places = [(u0 + 1) * across, b * across, c * across, (v0 + 1) * down, e * down, f * down];
  const pasted = sample(face, right - left, bottom - top, places), size = pasted.width * pasted.height;
  for (let y = 0, from = 0; y < pasted.height; y++) {
    for (let x = 0; x < pasted.width; x++, from++) {
      const u = u0 + b * (x + 0.5) + c * (y + 0.5), v = v0 + e * (x + 0.5) + f * (y + 0.5);
      const weight = fade(u, feather) * fade(v, feather), to = 4 * ((top + y) * photograph.width + left + x);
      for (let channel = 0; weight && channel < 3; channel++) {
        const old = photograph.data[to + channel], value = 255 * clamp(pasted.data[from + channel * size]);
        photograph.data[to + channel] = old + weight * (value - old);
      }
    }
  }
  return bounds;
}

/** The face with what is left of the other at 16x16. */
function withColours(face, other) {
  const difference = picture(face.width, face.height, other.data.map((value, i) => value - face.data[i]));
  const smooth = resize(resize(difference, 16, 16), face.width, face.height);
  return picture(face.width, face.height, face.data.map((value, i) => value + smooth.data[i]));
}

/** 1 in the middle of the box, 0 from its sides on, and smooth between. */
function fade(u, feather) {
  const t = clamp((1 - Math.abs(u)) / feather);
  return t * t * (3 - 2 * t);
}
