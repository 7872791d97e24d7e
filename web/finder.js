/**
 * Faces in a whole photograph, in two looks at it, shrunk, turned by quarters. The twin of
 * elsface_lite/inference/finder.py, step by step, but for its tiles.
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {import('./pictures.js').Photograph} Photograph
 * @typedef {import('./box.js').Box} Box
 * @typedef {{box: Box, score: number}} Sighting
 */
import { fitBox, scaled, turned } from './box.js';
import { detect } from './detector.js';
import { change, clamp, resized, turn } from './pictures.js';

/**
 * Finds the faces, the largest first.
 *
 * @param {Photograph} photograph
 * @param {object} settings what build.py writes
 * @param {import('./detector.js').Stages} stages
 * @returns {Promise<Box[]>}
 */
export async function findFaces(photograph, settings, stages) {
  const { looks } = settings, size = ({ width, height }) => width * height;
  const factor = Math.min(2, Math.sqrt(looks[1] / size(photograph)));
  const overview = resized(photograph, factor), found = [];
  if (factor < 1) change(overview, (value) => Math.round(255 * value) / 255);
  const part = Math.min(1, Math.sqrt(looks[0] / size(overview)));
  async function look(image, times, quarters) {
    for (const { box, score } of await uprightIn(image, quarters, settings, stages)) {
      found.push({ box: scaled(box, 1 / times), score, quarters });
    }
  }
  if (part < 1) {
    await look(overview, factor, 0);
    const small = resized(overview, part);
    for (const quarters of [0, 1, 2, 3]) await look(small, part * factor, quarters);
  }
  const first = turnsOf(found, settings).filter((quarters) => quarters || part === 1);
  for (const quarters of first) await look(overview, factor, quarters);
  const turns = turnsOf(found, settings), kept = found.filter(({ quarters }) => turns.includes(quarters));
  return eachOnce(kept, settings).map(({ box }) => box).sort((a, b) => b.side - a.side);
}

/** The quarter turns to search in: upright, and those in which a face surely is; all where there is none. */
function turnsOf(found, settings) {
  const sure = eachOnce(found, settings).filter(({ score }) => score > settings.sure);
  return sure.length ? [...new Set([0, ...sure.map(({ quarters }) => quarters)])].sort() : [0, 1, 2, 3];
}

/** The faces that stand upright once the picture is turned counterclockwise by so many quarters. */
async function uprightIn(look, quarters, settings, stages) {
  const image = turn(look, quarters);
  change(image, (value) => 2 * value - 1);
  const found = (await detect(image, settings, stages)).map((face) => checked(face, settings)).filter(Boolean);
  return found.map(({ box, score }) => ({ box: turned(box, quarters, look.width, look.height), score }));
}

/** The face, if its landmarks agree with the box around them; those of one on its side, taken for upright, do not. */
function checked({ box: [left, top, right, bottom], landmarks, score }, settings) {
  const { box, worst } = fitBox([0, 1, 3, 4].map((i) => landmarks[i]), settings); // the nose moves when a head turns
  const relative = box.side / Math.max(right - left, bottom - top, 1e-9), [least, most] = settings.sides;
  const apart = Math.hypot(box.x - (left + right) / 2, box.y - (top + bottom) / 2) / Math.max(box.side, 1e-9);
  const agree = Math.abs(box.angle) < settings.leaning && least < relative && relative < most;
  return agree && apart < settings.apart && worst < settings.worst ? { box, score } : null;
}

/** Of those that cover each other by half, the surest, which is the less leaning of two turns. */
function eachOnce(found, { around }) {
  const quarter = Math.PI / 2, lean = ({ angle }) => Math.abs(angle - quarter * Math.round(angle / quarter));
  const unsure = ({ box, score }) => 0.1 * lean(box) - score, kept = [];
  for (const one of found.toSorted((a, b) => unsure(a) - unsure(b))) {
    if (!kept.some((other) => covered(one.box, other.box, around) > 0.5)) kept.push(one);
  }
  return kept;
}

/** The share that two faces, as upright squares, have in common, of the smaller one. */
function covered(one, other, around) {
  const a = one.side / around / 2, b = other.side / around / 2;
  const common = (p, q) => Math.max(0, Math.min(p + a, q + b) - Math.max(p - a, q - b));
  return (common(one.x, other.x) * common(one.y, other.y)) / (2 * Math.min(a, b)) ** 2;
}
