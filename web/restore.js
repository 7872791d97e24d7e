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
import { clamped, cut, enlarge, isGrey, makeGrey, toPhotograph } from './pictures.js';

/**
 * Restores the faces in a photograph, largest first, and puts them back: `restore(..., paste=True)`.
 *
 * @param {Photograph} photograph
 * @param {object} settings what build.py writes
 * @param {import('./runtime.js').Runtime} runtime
 * @param {(event: object) => void} say each step
 */
export async function restoreFaces(photograph, settings, { network, stages }, say) {
  const boxes = await findFaces(photograph, settings, stages);
  const factor = boxes.length ? enlargement(photograph, settings) : 1, large = enlarge(photograph, factor);
  const faces = boxes.map((box) => ({ ...scaled(box, factor), pixels: lrPixels(box), kept: judge(box, settings) }));
  say({ step: 'found', faces, photograph: copy(large) });
  const grey = isGrey(photograph);
  for (const [number, box] of boxes.entries()) {
    if (faces[number].kept) continue;
    const { face, place } = cutAround(photograph, box);
    const sr = await superResolve(face, network, grey), size = settings.scale * Math.round(place.side);
    const part = pasteFace(large, cropFace(sr, scaled(place, settings.scale), size), scaled(box, factor), settings);
    say({ step: 'restored', number, left: part.left, top: part.top, photograph: toPhotograph(cut(large, part)) });
  }
}

/**
 * Restores a picture that is one LR face: `restore(..., lr=True)`.
 *
 * @param {Photograph} photograph
 */
export async function restoreWhole(photograph, settings, { network }, say) {
  const { width, height } = photograph;
  const face = scaled({ x: width / 2, y: height / 2, side: Math.min(width, height), angle: 0 }, settings.scale);
  say({ step: 'found', faces: [{ ...face, pixels: width * height, kept: null }],
        photograph: enlarge(photograph, settings.scale) });
  const lr = cut(photograph, { left: 0, top: 0, right: width, bottom: height });
  const sr = await superResolve(lr, network, isGrey(photograph));
  say({ step: 'restored', number: 0, left: 0, top: 0, photograph: toPhotograph(sr) });
}

/** Through the network; a photograph without colours gets none. */
async function superResolve(face, network, grey) {
  const sr = clamped(await network(face));
  if (grey) makeGrey(sr);
  return sr;
}

/** Why a face is left as it is; null if it is to be restored. */
function judge({ side }, { detailedFace, largestFace }) {
  if (side > detailedFace) return `with more than ${detailedFace} pixels it has more detail than the network draws`;
  if (side > largestFace) return `with more than ${largestFace} pixels it would take this page too long`;
  return null;
}

/** The largest that a canvas can hold everywhere, up to the network's own scale. */
function enlargement({ width, height }, { scale, pastedPixels }) {
  const fits = (factor) => factor * factor * width * height <= pastedPixels;
  let factor = scale;
  while (factor > 1 && !fits(factor)) factor--;
  return factor;
}

const lrPixels = ({ side }) => (1.02 * side + 8) ** 2; // about as many as the network reads: its time goes with them

function copy({ width, height, data }) {
  return { width, height, data: data.slice() };
}
