// Boxes of people from a detector, as in litehrnet/detection/letterbox.py and maps.py.

/**
 * Find the people in a picture.
 *
 * @param picture A Picture.
 * @param network The detector, a Network of engine.js.
 * @param detector The description of it.
 * @returns {box: [x, y, width, height] in the picture's pixels, score} of each, the highest score first.
 */
export async function detect(picture, network, detector) {
  const { pixels, scale, shift } = letterbox(picture, detector.input_size_wh, detector.background);
  const found = suppress(decodeBoxes(await network.forward(pixels), detector), detector.max_overlap);
  return found.flatMap(({ corners, score }) => {
    const [x1, y1, x2, y2] = corners.map((value, i) => {
      const axis = i % 2;
      return Math.min(picture.size[axis], Math.max(0, (value - shift[axis]) / scale[axis]));
    });
    const box = [x1, y1, x2 - x1, y2 - y1];
    return Math.min(box[2], box[3]) >= 1 ? [{ box, score }] : [];
  });
}

/**
 * Scale a picture so that it just fits, in the middle of the background color.
 *
 * @param size [width, height] of the network's input.
 * @param background [red, green, blue].
 * @returns {pixels: Uint8Array of height x width x 3; scale, shift: [x, y] with input = scale * picture + shift}.
 */
export function letterbox(picture, size, background) {
  const fit = Math.min(...size.map((side, axis) => side / picture.size[axis]));
  const scaled = size.map((side, axis) => Math.min(side, Math.max(1, roundHalfToEven(picture.size[axis] * fit))));
  const shift = size.map((side, axis) => Math.floor((side - scaled[axis]) / 2));
  const pixels = new Uint8Array(size[0] * size[1] * 3).map((_, i) => background[i % 3]);
  const whole = picture.pixels({ x: 0, y: 0, width: picture.size[0], height: picture.size[1] });
  const rows = resize(whole, scaled);
  for (let y = 0; y < scaled[1]; y++) {
    const row = rows.subarray(y * scaled[0] * 3, (y + 1) * scaled[0] * 3);
    pixels.set(row, ((shift[1] + y) * size[0] + shift[0]) * 3);
  }
  return { pixels, scale: scaled.map((side, axis) => side / picture.size[axis]), shift };
}

function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** RGBA {data, width, height} to RGB of another size: the mean of the area when it shrinks, else bilinear. */
function resize({ data, width, height }, [newWidth, newHeight]) {
  const columns = shares(width, newWidth);
  const rows = shares(height, newHeight);
  const resized = new Uint8ClampedArray(newWidth * newHeight * 3); // rounds on its own
  const sums = new Float32Array(width * 4);
  let to = 0;
  for (const { first, weights } of rows) {
    sums.fill(0);
    weights.forEach((weight, i) => {
      const start = (first + i) * width * 4;
      for (let at = 0; at < sums.length; at++) sums[at] += weight * data[start + at];
    });
    for (const column of columns) {
      let [red, green, blue] = [0, 0, 0];
      for (let i = 0, at = column.first * 4; i < column.weights.length; i++, at += 4) {
        red += column.weights[i] * sums[at];
        green += column.weights[i] * sums[at + 1];
        blue += column.weights[i] * sums[at + 2];
      }
      resized[to++] = red;
      resized[to++] = green;
      resized[to++] = blue;
    }
  }
  return resized;
}

// Which pixels along one axis make each new pixel: the number of the first, and the weights from there on.
function shares(count, newCount) {
  const step = count / newCount;
  return Array.from({ length: newCount }, (_, i) => {
    if (step > 1) {
      const [start, end] = [i * step, Math.min((i + 1) * step, count)];
      const first = Math.floor(start);
      const length = Math.ceil(end) - first;
      const weight = (_, k) => (Math.min(first + k + 1, end) - Math.max(first + k, start)) / step;
      return { first, weights: Array.from({ length }, weight) };
    }
    const at = Math.min(count - 1, Math.max(0, (i + 0.5) * step - 0.5));
    const first = Math.floor(at);
    return { first, weights: first === at ? [1] : [first + 1 - at, at - first] };
  });
}

/**
 * Boxes at the peaks of a detector's maps.
 *
 * @param maps {data, size: [width, height]}: Float32Array of 5 x height x width.
 * @param detector The description of it.
 * @returns {corners: [x1, y1, x2, y2] in pixels of the input, score} of each, the highest score first.
 */
export function decodeBoxes({ data, size: [width, height] }, detector) {
  const clamp = (value) => Math.max(value, 1e-7);
  const threshold = Math.log(clamp(detector.min_score) / clamp(1 - detector.min_score));
  const peaks = [];
  for (let at = 0; at < width * height; at++) {
    if (data[at] >= threshold && isPeak(data, at % width, Math.floor(at / width), width, height)) peaks.push(at);
  }
  peaks.sort((a, b) => data[b] - data[a]);
  const score = (at) => 1 / (1 + Math.exp(-data[at]));
  return peaks.slice(0, detector.max_objects).map((peak) => {
    // The mean of the boxes around the peak, weighted by their scores to the power of 4; see _corners_around in maps.py.
    const corners = [0, 0, 0, 0];
    let total = 0;
    for (let i = 0; i < 9; i++) {
      const column = Math.min(width - 1, Math.max(0, (peak % width) + (i % 3) - 1));
      const row = Math.min(height - 1, Math.max(0, Math.floor(peak / width) + Math.floor(i / 3) - 1));
      const at = row * width + column;
      const weight = score(at) ** 4;
      total += weight;
      for (let side = 0; side < 4; side++) {
        const distance = Math.exp(Math.min(data[(1 + side) * width * height + at], detector.max_log_distance));
        const center = detector.stride * ((side % 2 ? row : column) + 0.5);
        corners[side] += weight * (center + (side < 2 ? -1 : 1) * detector.distance_unit * distance);
      }
    }
    return { corners: corners.map((value) => value / total), score: score(peak) };
  });
}

function isPeak(data, x, y, width, height) {
  const value = data[y * width + x];
  for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
      if (data[row * width + column] > value) return false;
    }
  }
  return true;
}

/** Of boxes that overlap more than maxOverlap, the first: suppress() of maps.py. */
export function suppress(found, maxOverlap) {
  const kept = [];
  for (const each of found) {
    if (kept.every((other) => overlap(each.corners, other.corners) <= maxOverlap)) kept.push(each);
  }
  return kept;
}

/** Intersection over union of two boxes, by their corners. */
export function overlap(a, b) {
  const area = ([x1, y1, x2, y2]) => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared === 0 ? 0 : shared / (area(a) + area(b) - shared);
}
