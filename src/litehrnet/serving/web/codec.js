// Heatmaps to positions, as decode() of litehrnet/keypoints/codec.py: the published code, DARK and UDP.

const DARK_FLOOR = 1e-10;
const UDP_FLOOR = 0.001;
const UDP_CEILING = 50;
const UDP_DAMPING = 2 ** -23;

/**
 * Position and score of the peak of each heatmap.
 *
 * @param heatmaps {data, size: [width, height]}: Float32Array of keypoints x height x width. What is not finite counts as 0.
 * @param codec {kind: "default" | "dark" | "udp", blur_taps}: the blur along one axis, an odd number of weights.
 * @returns {points: [x, y] in cells, or [-1, -1] where nothing is above 0; scores}, one of each per keypoint.
 */
export function decode({ data, size }, codec) {
  const cells = size[0] * size[1];
  const points = [];
  const scores = [];
  for (let start = 0; start < data.length; start += cells) {
    const map = { values: data.slice(start, start + cells), size };
    const peak = peakOf(map.values);
    const score = map.values[peak];
    const cell = score > 0 ? [peak % size[0], Math.floor(peak / size[0])] : [-1, -1];
    const step = STEPS[codec.kind](map, cell, codec.blur_taps);
    points.push(cell.map((value, axis) => Math.fround(Math.min(size[axis], Math.max(-1, value + step[axis])))));
    scores.push(score);
  }
  return { points, scores };
}

const STEPS = { default: quarterStep, dark: darkStep, udp: udpStep };

// The first of the highest cells; puts 0 where a value is not finite.
function peakOf(values) {
  let peak = 0;
  for (let at = 0; at < values.length; at++) {
    if (!Number.isFinite(values[at])) values[at] = 0;
    if (values[at] > values[peak]) peak = at;
  }
  return peak;
}

function isInside([x, y], [width, height], margin) {
  return x > 1 && y > 1 && x < width - margin && y < height - margin;
}

// A quarter cell toward the higher neighbor.
function quarterStep({ values, size }, cell) {
  if (!isInside(cell, size, 1)) return [0, 0];
  const at = cell[1] * size[0] + cell[0];
  return [1, size[0]].map((next) => 0.25 * Math.sign(compare(values[at + next], values[at - next])));
}

function compare(a, b) {
  return Number(a > b) - Number(a < b);
}

// Newton's step on the logarithm of the blurred map, derivatives over two cells.
function darkStep(map, cell, taps) {
  if (!isInside(cell, map.size, 2)) return [0, 0];
  const patch = blurredPatch(map, cell, 2, taps, "constant");
  let factor = 1;
  if (Math.min(...patch.flat()) <= DARK_FLOOR) {
    // Each blurred map is brought back to its old maximum, which matters only where the floor cuts in.
    factor = largest(map.values) / largest(blurredMap(map, taps));
  }
  const f = patch.map((row) => row.map((value) => Math.log(Math.max(value * factor, DARK_FLOOR))));
  return newtonStep(
    (f[2][3] - f[2][1]) / 2,
    (f[3][2] - f[1][2]) / 2,
    (f[2][4] - 2 * f[2][2] + f[2][0]) / 4,
    (f[3][3] - f[1][3] - f[3][1] + f[1][1]) / 4,
    (f[4][2] - 2 * f[2][2] + f[0][2]) / 4,
  );
}

function udpStep(map, cell, taps) {
  const patch = blurredPatch(map, cell, 1, taps, "reflect");
  const f = patch.map((row) => row.map((value) => Math.log(Math.min(UDP_CEILING, Math.max(UDP_FLOOR, value)))));
  const diagonal = f[2][2] - f[1][2] - f[2][1] + f[0][0] - f[1][0] - f[0][1];
  return newtonStep(
    (f[1][2] - f[1][0]) / 2,
    (f[2][1] - f[0][1]) / 2,
    f[1][2] - 2 * f[1][1] + f[1][0] + UDP_DAMPING,
    diagonal / 2 + f[1][1],
    f[2][1] - 2 * f[1][1] + f[0][1] + UDP_DAMPING,
  );
}

// Minus the inverse of the second derivatives times the gradient; none where that is not a number.
function newtonStep(gx, gy, xx, xy, yy) {
  const by = xx * yy - xy * xy;
  const step = [(xy * gy - yy * gx) / by, (xy * gx - xx * gy) / by];
  return step.every(Number.isFinite) ? step : [0, 0];
}

// Rows of the blurred map around a cell; those beyond the border repeat it.
function blurredPatch(map, [x, y], radius, taps, border) {
  const around = (middle, size) =>
    Array.from({ length: 2 * radius + 1 }, (_, i) => Math.min(size - 1, Math.max(0, middle + i - radius)));
  const columns = around(x, map.size[0]);
  return around(y, map.size[1]).map((row) => columns.map((column) => blurredCell(map, column, row, taps, border)));
}

function blurredCell({ values, size: [width, height] }, x, y, taps, border) {
  const reach = (taps.length - 1) / 2;
  let sum = 0;
  for (let j = 0; j < taps.length; j++) {
    const row = beyond(y + j - reach, height, border);
    if (row < 0) continue;
    for (let i = 0; i < taps.length; i++) {
      const column = beyond(x + i - reach, width, border);
      if (column >= 0) sum += taps[j] * taps[i] * values[row * width + column];
    }
  }
  return sum;
}

// Where a place beyond the border is looked up: mirrored about the outermost cell, or nowhere (-1), where it is 0.
function beyond(place, size, border) {
  if (place >= 0 && place < size) return place;
  if (border === "constant") return -1;
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const along = ((place % period) + period) % period;
  return along < size ? along : period - along;
}

function blurredMap(map, taps) {
  const [width] = map.size;
  return map.values.map((_, at) => blurredCell(map, at % width, Math.floor(at / width), taps, "constant"));
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, value), -Infinity);
}
