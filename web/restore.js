/**
 * What `elsface_lite.restore` does with one picture, and what it says while it does it.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {import('./pictures.js').Photograph} Photograph
 * @typedef {import('./faces.js').Box} Box
 */
import { cropFace, cutAround, findFaces, pasteFace, scaled } from './faces.js';
import { change, clamp, cut, enlarge, toPhotograph } from './pictures.js';

/**
 * Restores the faces in a photograph, largest first, and puts them back: `restore(..., paste=True)`, but for faces that
 * are large already, which are left as they are.
 *
 * @param {Photograph} photograph
 * @param {object} settings what build.py writes
 * @param {import('./runtime.js').Runtime} runtime
 * @param {(event: object) => void} say each step
 */
export async function restoreFaces(photograph, settings, { network, stages }, say) {
  const boxes = await findFaces(photograph, settings, stages);
  const factor = boxes.length ? enlargement(photograph, settings) : 1, large = enlarge(photograph, factor);
  const faces = boxes.map((box) => ({ ...scaled(box, factor), pixels: lrPixels(box), kept: isLarge(box, settings) }));
  say({ step: 'found', faces, photograph: copy(large) });
  for (const [number, box] of boxes.entries()) {
    if (isLarge(box, settings)) continue;
    const { face, place } = cutAround(photograph, box);
    const sr = clamped(await network(face)), size = settings.scale * Math.round(place.side);
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
  const face = { x: width * 2, y: height * 2, side: 4 * Math.min(width, height), angle: 0 };
  say({ step: 'found', faces: [{ ...face, pixels: width * height, kept: false }],
        photograph: enlarge(photograph, settings.scale) });
  const sr = clamped(await network(cut(photograph, { left: 0, top: 0, right: width, bottom: height })));
  say({ step: 'restored', number: 0, left: 0, top: 0, photograph: toPhotograph(sr) });
}

/** The largest that a canvas can hold everywhere, up to the network's own scale. */
function enlargement({ width, height }, { scale, pastedPixels }) {
  const fits = (factor) => factor * factor * width * height <= pastedPixels;
  let factor = scale;
  while (factor > 1 && !fits(factor)) factor--;
  return factor;
}

const isLarge = (box, { largestFace }) => box.side > largestFace;
const lrPixels = ({ side }) => (1.02 * side + 8) ** 2; // about as many as the network reads: its time goes with them

function copy({ width, height, data }) {
  return { width, height, data: data.slice() };
}

function clamped(image) {
  change(image, clamp);
  return image;
}
