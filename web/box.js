/**
 * Where a face is. The twin of elsface_lite/inference/box.py.
 *
 * @typedef {{x: number, y: number, side: number, angle: number}} Box the square around a face: its centre and side in
 *     pixels, and how far it is turned clockwise
 */

export const scaled = ({ x, y, side, angle }, factor) => ({ x: factor * x, y: factor * y, side: factor * side, angle });

/** The same square once its picture, which is so wide and high by then, was turned clockwise by quarters. */
export function turned({ x, y, side, angle }, quarters, width, height) {
  const [w, h] = quarters % 2 ? [height, width] : [width, height];
  let [right, down] = [x - w / 2, y - h / 2];
  for (let i = 0; i < quarters; i++) [right, down] = [-down, right];
  const now = angle + (quarters * Math.PI) / 2;
  return { x: width / 2 + right, y: height / 2 + down, side, angle: Math.atan2(Math.sin(now), Math.cos(now)) };
}

/**
 * The box whose eyes and mouth lie closest to these, by least squares: x + yi is linear in the turn.
 *
 * @param {[number, number][]} landmarks left and right eye, left and right corner of the mouth
 * @returns {{box: Box, worst: number}} and how far off the worst of the four is, in sides of the box
 */
export function fitBox(landmarks, { landmarks: ours, faceSide }) {
  const mean = (points) => [0, 1].map((i) => points.reduce((sum, point) => sum + point[i], 0) / points.length);
  const [cx, cy] = mean(ours), [mx, my] = mean(landmarks);
  const pairs = ours.map(([x, y], i) => [x - cx, y - cy, landmarks[i][0] - mx, landmarks[i][1] - my]);
  const power = pairs.reduce((sum, [a, b]) => sum + a * a + b * b, 0);
  const re = pairs.reduce((sum, [a, b, c, d]) => sum + a * c + b * d, 0) / power;
  const im = pairs.reduce((sum, [a, b, c, d]) => sum + a * d - b * c, 0) / power;
  const off = pairs.map(([a, b, c, d]) => Math.hypot(c - (re * a - im * b), d - (re * b + im * a)));
  const [dx, dy] = [faceSide / 2 - cx, faceSide / 2 - cy], side = faceSide * Math.hypot(re, im);
  const box = { x: mx + re * dx - im * dy, y: my + re * dy + im * dx, side, angle: Math.atan2(im, re) };
  return { box, worst: Math.max(...off) / Math.max(side, 1e-9) };
}
