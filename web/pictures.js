/**
 * Pictures as numbers: resized, averaged and sampled the way PyTorch does it, so that the page computes what
 * `elsface_lite.restore` computes.
 *
 * @typedef {{width: number, height: number, data: Float32Array}} Picture (3, height, width), RGB, mostly in [0, 1]
 * @typedef {{width: number, height: number, data: Uint8ClampedArray}} Photograph (height, width, 4), RGBA, as a canvas
 *     has it
 * @typedef {{left: number, top: number, right: number, bottom: number}} Part of a picture, in whole pixels
 */

/** @returns {Picture} */
export function picture(width, height, data = new Float32Array(3 * width * height)) {
  return { width, height, data };
}

/** Changes every number of a picture: in place. */
export function change({ data }, f) {
  for (let i = 0; i < data.length; i++) data[i] = f(data[i]);
}

export const clamp = (x) => Math.min(1, Math.max(0, x));

export function clamped(image) {
  change(image, clamp);
  return image;
}

/**
 * Antialiased bicubic (the kernel of Pillow, a = -0.5), not clamped.
 *
 * @param {Picture | Photograph} image
 * @returns {Picture}
 */
export function resize(image, width, height) {
  const resized = picture(width, height);
  for (let channel = 0; channel < 3; channel++) {
    const plane = resized.data.subarray(channel * width * height, (channel + 1) * width * height);
    resizeChannel(image, channel, width, height, plane);
  }
  return resized;
}

/** The same by a factor, at least one pixel wide and high, in [0, 1]. */
export function resized(image, factor) {
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(factor * side)));
  return clamped(resize(image, width, height));
}

/** A copy with its border repeated to the right and below. */
export function padded(image, width, height) {
  const copy = picture(width, height), size = image.width * image.height;
  for (let channel = 0, to = 0; channel < 3; channel++) {
    for (let y = 0; y < height; y++) {
      const from = channel * size + Math.min(y, image.height - 1) * image.width;
      for (let x = 0; x < width; x++) copy.data[to++] = image.data[from + Math.min(x, image.width - 1)];
    }
  }
  return copy;
}

/** A copy, turned counterclockwise by 0 to 3 quarters. */
export function turn({ width, height, data }, quarters) {
  const copy = quarters % 2 ? picture(height, width) : picture(width, height), size = width * height;
  const [start, across, down] =
    [[0, 1, width], [width - 1, width, -1], [size - 1, -1, -width], [size - width, -width, 1]][quarters];
  for (let channel = 0, to = 0; channel < 3; channel++) {
    for (let y = 0; y < copy.height; y++) {
      for (let x = 0, from = channel * size + start + y * down; x < copy.width; x++, from += across) {
        copy.data[to++] = data[from];
      }
    }
  }
  return copy;
}

/**
 * The bicubic baseline, rounded to 8 bits: `elsface_lite.upscale`.
 *
 * @param {Photograph} photograph
 * @returns {Photograph}
 */
export function enlarge(photograph, factor) {
  const [width, height] = [photograph.width * factor, photograph.height * factor];
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  const plane = new Float32Array(width * height);
  for (let channel = 0; channel < 3; channel++) {
    plane.fill(0);
    resizeChannel(photograph, channel, width, height, plane);
    for (let i = 0; i < plane.length; i++) data[4 * i + channel] = 255 * plane[i];
  }
  return { width, height, data };
}

/** One channel, along the rows and then along the columns; `plane` is (height, width) zeros. */
function resizeChannel(image, channel, width, height, plane) {
  const along = taps(image.width, width), down = taps(image.height, height);
  const { data, start, step, unit } = channelOf(image, channel);
  const rows = new Float32Array(image.height * width);
  for (let y = 0, to = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++, to++) {
      let sum = 0;
      let from = start + step * (y * image.width + along.first[x]);
      for (let t = along.start[x]; t < along.start[x + 1]; t++, from += step) sum += along.weights[t] * data[from];
      rows[to] = sum * unit;
    }
  }
  for (let y = 0; y < height; y++) {
    for (let t = down.start[y]; t < down.start[y + 1]; t++) {
      const weight = down.weights[t], from = (down.first[y] + t - down.start[y]) * width, to = y * width;
      for (let x = 0; x < width; x++) plane[to + x] += weight * rows[from + x];
    }
  }
}

/** Where the numbers of a channel lie in a picture or a photograph, and what makes them numbers in [0, 1]. */
function channelOf({ width, height, data }, channel) {
  return data instanceof Float32Array
    ? { data, start: channel * width * height, step: 1, unit: 1 }
    : { data, start: channel, step: 4, unit: 1 / 255 };
}

/** For each of `to` places: the first of `from` pixels that it reads, and (from start[i] on) the weights of each. */
function taps(from, to) {
  const scale = from / to, stretch = Math.max(1, scale), weights = [];
  const first = new Int32Array(to), start = new Int32Array(to + 1);
  for (let i = 0; i < to; i++) {
    const center = scale * (i + 0.5);
    first[i] = Math.max(0, Math.trunc(center - 2 * stretch + 0.5));
    const end = Math.min(from, Math.trunc(center + 2 * stretch + 0.5)), own = [];
    for (let pixel = first[i]; pixel < end; pixel++) own.push(cubic((pixel - center + 0.5) / stretch, -0.5));
    const total = own.reduce((sum, weight) => sum + weight, 0);
    weights.push(...own.map((weight) => weight / total));
    start[i + 1] = weights.length;
  }
  return { first, start, weights: Float32Array.from(weights) };
}

/** Keys' kernel. */
function cubic(x, a) {
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? a * (((x - 5) * x + 8) * x - 4) : 0;
}

/**
 * A picture at places, bicubic (a = -0.75), its border repeated: `grid_sample`.
 *
 * @param {Picture} image
 * @param {[number, number, number, number, number, number]} affine where a pixel of the result, (column, row) at its
 *     centre, lies in the image, in its pixels: a + b column + c row, d + e column + f row
 * @returns {Picture}
 */
export function sample(image, width, height, [a, b, c, d, e, f]) {
  const sampled = picture(width, height), size = width * height, whole = image.width * image.height, { data } = image;
  const pixels = new Int32Array(8), weights = new Float64Array(8); // four columns, four rows
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to++) {
      const x = column + 0.5, y = row + 0.5;
      nearest(a + b * x + c * y - 0.5, image.width, 1, pixels, weights, 0);
      nearest(d + e * x + f * y - 0.5, image.height, image.width, pixels, weights, 4);
      const p = pixels[0], q = pixels[1], r = pixels[2], s = pixels[3];
      const i = weights[0], j = weights[1], k = weights[2], l = weights[3];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let n = 4; n < 8; n++) {
          const line = channel * whole + pixels[n];
          sum += weights[n] * (i * data[line + p] + j * data[line + q] + k * data[line + r] + l * data[line + s]);
        }
        sampled.data[to + channel * size] = sum;
      }
    }
  }
  return sampled;
}

/** Fills in the four pixels around a place, as offsets, and their weights. */
function nearest(x, size, step, pixels, weights, start) {
  const corner = Math.floor(x) - 1;
  for (let i = 0; i < 4; i++) {
    pixels[start + i] = step * Math.min(size - 1, Math.max(0, corner + i));
    weights[start + i] = cubic(x - corner - i, -0.75);
  }
}

/**
 * Means over equal cells of a picture: `adaptive_avg_pool2d`.
 *
 * @param {Picture} image
 * @returns {Picture}
 */
export function average(image, width, height) {
  const mean = picture(width, height), columns = cells(image.width, width), rows = cells(image.height, height);
  const line = new Float64Array(image.width);
  for (let channel = 0, to = 0; channel < 3; channel++) {
    for (const [y0, y1] of rows) {
      line.fill(0);
      for (let y = y0; y < y1; y++) {
        const start = (channel * image.height + y) * image.width;
        for (let x = 0; x < image.width; x++) line[x] += image.data[start + x];
      }
      for (const [x0, x1] of columns) {
        let sum = 0;
        for (let x = x0; x < x1; x++) sum += line[x];
        mean.data[to++] = sum / ((y1 - y0) * (x1 - x0));
      }
    }
  }
  return mean;
}

function cells(size, count) {
  return Array.from({ length: count }, (_, i) => [
    Math.floor((i * size) / count),
    Math.ceil(((i + 1) * size) / count),
  ]);
}

/**
 * A picture at equal steps over a part, bilinear, 0 beyond its border: `grid_sample`.
 *
 * @param {Picture} image
 * @param {Part} part also between its pixels
 * @param {Float32Array} out (3, height, width), filled
 */
export function between(image, { left, top, right, bottom }, width, height, out) {
  const columns = neighbours(left, right, width), rows = neighbours(top, bottom, height);
  for (let channel = 0, to = 0; channel < 3; channel++) {
    const at = (x, y) => (x < 0 || y < 0 || x >= image.width || y >= image.height ? 0
      : image.data[(channel * image.height + y) * image.width + x]);
    for (const [y, down] of rows) {
      for (const [x, across] of columns) {
        const above = at(x, y) + across * (at(x + 1, y) - at(x, y));
        const below = at(x, y + 1) + across * (at(x + 1, y + 1) - at(x, y + 1));
        out[to++] = above + down * (below - above);
      }
    }
  }
}

/** For each of `count` places the pixel before it, and how far it lies from this to the next. */
function neighbours(start, end, count) {
  return Array.from({ length: count }, (_, i) => {
    const place = start + ((i + 0.5) * (end - start)) / count - 0.5, first = Math.floor(place);
    return [first, place - first];
  });
}

/**
 * Cuts a part out.
 *
 * @param {Picture | Photograph} image
 * @param {Part} part
 * @returns {Picture}
 */
export function cut(image, { left, top, right, bottom }) {
  const part = picture(right - left, bottom - top);
  for (let channel = 0, to = 0; channel < 3; channel++) {
    const { data, start, step, unit } = channelOf(image, channel);
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) part.data[to++] = unit * data[start + step * (y * image.width + x)];
    }
  }
  return part;
}

/** Whether no pixel of a photograph has a colour. */
export function isGrey({ data }) {
  for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

/** Takes the colours out of a picture: in place. */
export function makeGrey({ width, height, data }) {
  const size = width * height;
  for (let i = 0; i < size; i++) {
    data[i] = data[i + size] = data[i + 2 * size] = (data[i] + data[i + size] + data[i + 2 * size]) / 3;
  }
}

/** @returns {Photograph} what a canvas takes. */
export function toPhotograph({ width, height, data }) {
  const size = width * height, rgba = new Uint8ClampedArray(4 * size).fill(255);
  for (let i = 0; i < size; i++) for (let c = 0; c < 3; c++) rgba[4 * i + c] = 255 * data[i + c * size];
  return { width, height, data: rgba };
}
