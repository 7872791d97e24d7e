/**
 * What `elsface_lite.restore` does with one picture, and what it says while it does it.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {import('./pictures.js').Photograph} Photograph
 * @typedef {import('./box.js').Box} Box
 */
import { scaled } from './box.js';
import { cropFace, cutAround, pasteFace } from './faces.js';
import { findFaces } from './finder.js';
import { halved, halvings, judge, unchanged, unfinished } from './judge.js';
import { clamped, cut, enlarge, isGrey, makeGrey, resize, toPhotograph } from './pictures.js';

/**
 * Restores the faces in a photograph, largest first, and puts them back: `restore(..., paste=True)`.
 *
 * @param {Photograph} photograph
 * @param {object} settings what build.py writes
 * @param {import('./runtime.js').Runtime} runtime whose networks are called faithful and, where there is one, sharp
 * @param {(event: object) => void} say each step; done with each network, of which one waits for the first
 */
export async function restoreFaces(photograph, settings, { networks, stages }, say) {
  const boxes = await findFaces(photograph, settings, stages);
  const factor = boxes.length ? enlargement(photograph, settings) : 1, large = enlarge(photograph, factor);
  const faces = boxes.map((box) => ({ ...lrFace(photograph, box, settings), box, there: scaled(box, factor) }));
  for (const face of faces) face.kept = judge(face.place, settings);
  say({ step: 'found', photograph: copy(large), faces: faces.map((face) => (
    { ...face.there, pixels: pixelsOf(face, settings), kept: face.kept })) });
  const grey = isGrey(photograph), { scale } = settings;
  for (const [step, network] of Object.entries(networks)) {
    const whole = copy(large);
    for (const [number, face] of faces.entries()) {
      if (face.kept) continue;
      const { lr, place, box, there } = face, { sr, times } = await superResolveAgain(lr, place, box, network, settings);
      if (grey) makeGrey(sr);
      const upright = (image, by) => cropFace(image, scaled(place, by), Math.round(times * Math.round(place.side)));
      const before = upright(clamped(resize(lr, scale * lr.width, scale * lr.height)), scale), after = upright(sr, times);
      face.kept = unchanged(before, after, settings);
      if (face.kept) {
        say({ step: 'left', number, kept: face.kept });
        continue;
      }
      const part = pasteFace(whole, after, there, settings);
      say({ step, number, left: part.left, top: part.top, photograph: toPhotograph(cut(whole, part)) });
    }
    say({ step: 'done', network: step });
  }
}

/** A face with as many pixels as its detail needs, and where in this it is. */
function lrFace(photograph, box, settings) {
  const { face, place } = cutAround(photograph, box), times = halvings(face, place.side, settings);
  return times ? { lr: halved(face, times), place: scaled(place, 0.5 ** times) } : { lr: face, place };
}

/**
 * Restores a picture that is one LR face: `restore(..., lr=True)`.
 *
 * @param {Photograph} photograph
 */
export async function restoreWhole(photograph, settings, { networks }, say) {
  const { width, height } = photograph;
  const face = scaled({ x: width / 2, y: height / 2, side: Math.min(width, height), angle: 0 }, settings.scale);
  say({ step: 'found', faces: [{ ...face, pixels: width * height, kept: null }],
        photograph: enlarge(photograph, settings.scale) });
  const lr = cut(photograph, { left: 0, top: 0, right: width, bottom: height });
  for (const [step, network] of Object.entries(networks)) {
    const sr = clamped(await network(lr));
    if (isGrey(photograph)) makeGrey(sr);
    say({ step, number: 0, left: 0, top: 0, photograph: toPhotograph(sr) });
    say({ step: 'done', network: step });
  }
}

/** Through the network, and again from half of the result while `unfinished`; and how many times larger it is then. */
async function superResolveAgain(lr, place, box, network, settings) {
  const sizes = sizesOf(place, box, settings);
  let sr = clamped(await network(lr));
  for (let time = 1; time < sizes.length; time++) sr = clamped(await network(halved(sr, 1)));
  return { sr, times: sizes.at(-1) };
}

/** How many times larger the face is after each time through the network, which it goes through only if it grows. */
function sizesOf(place, box, settings) {
  const { scale } = settings, sizes = [scale];
  while (scale > 2 && unfinished(sizes.at(-1) * place.side, box.side, settings)) sizes.push(sizes.at(-1) * scale / 2);
  return sizes;
}

/** How many pixels of this face go through the network, all times together. */
function pixelsOf({ lr, place, box }, settings) {
  const again = sizesOf(place, box, settings).slice(0, -1);
  return lr.width * lr.height * again.reduce((sum, size) => sum + (size / 2) ** 2, 1);
}

/** The largest that a canvas can hold everywhere, up to the network's own scale. */
function enlargement({ width, height }, { scale, pastedPixels }) {
  const fits = (factor) => factor * factor * width * height <= pastedPixels;
  let factor = scale;
  while (factor > 1 && !fits(factor)) factor--;
  return factor;
}

function copy({ width, height, data }) {
  return { width, height, data: data.slice() };
}
