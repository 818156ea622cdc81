// Boxes, crops and the way back, as in litehrnet/keypoints/boxes.py and crop.py. Sizes are [width, height], a matrix is
// [a, b, c, d, e, f] with crop x = a x + b y + c and crop y = d x + e y + f; pixel centers are at whole numbers.

export const PIXEL_STD = 200; // one unit of scale, in image pixels
const { fround } = Math; // Python rounds to float32 at the same places

/** Center and padded scale of a box [x, y, width, height], grown to the shape of the network's input. */
export function centerAndScale(box, [inputWidth, inputHeight], padding) {
  const [x, y, width, height] = box.map(fround);
  const aspect = inputWidth / inputHeight;
  const grown = [Math.max(width, aspect * height), Math.max(height, width / aspect)];
  return {
    center: [fround(x + width / 2), fround(y + height / 2)],
    scale: grown.map((side) => fround(fround(side / PIXEL_STD) * fround(padding))),
  };
}

/** The matrix from the image to the crop; `codec` is the kind of the network's heatmaps. */
export function cropMatrix({ center, scale }, size, codec) {
  return codec === "udp" ? udpCropMatrix(center, scale, size) : publishedCropMatrix(center, scale, size);
}

function publishedCropMatrix(center, scale, [width, height]) {
  const up = [0, -fround(scale[0] * PIXEL_STD) / 2];
  const source = threePoints(center, up);
  const target = threePoints([width / 2, height / 2], [0, -width / 2]);
  let edges = edgesOf(source);
  if (determinant(edges) === 0) {
    // A box far smaller than the spacing of float32 at its place.
    edges = [...up, up[0] + up[1], up[1] - up[0]];
  }
  const [a, b, c, d] = multiply(inverse(edges), edgesOf(target)); // of rows, so transposed below
  const [[x, y]] = source;
  return [a, c, target[0][0] - a * x - c * y, b, d, target[0][1] - b * x - d * y];
}

function udpCropMatrix(center, scale, size) {
  const sides = scale.map((value) => value * PIXEL_STD);
  const [across, down] = size.map((pixels, axis) => (pixels - 1) / sides[axis]);
  return [across, 0, across * (sides[0] / 2 - center[0]), 0, down, down * (sides[1] / 2 - center[1])];
}

// The center, the point half a width above it, and the one at a right angle: each rounded before the next.
function threePoints(origin, up) {
  const first = origin.map(fround);
  const second = first.map((value, axis) => fround(value + up[axis]));
  const edge = first.map((value, axis) => fround(value - second[axis]));
  return [first, second, [fround(second[0] - edge[1]), fround(second[1] + edge[0])]];
}

function edgesOf([first, second, third]) {
  return [second[0] - first[0], second[1] - first[1], third[0] - first[0], third[1] - first[1]];
}

function determinant([a, b, c, d]) {
  return a * d - b * c;
}

function inverse([a, b, c, d]) {
  const by = determinant([a, b, c, d]);
  return [d / by, -b / by, -c / by, a / by];
}

function multiply([a, b, c, d], [e, f, g, h]) {
  return [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
}

/** The matrix of the opposite direction. */
export function invertMatrix([a, b, c, d, e, f]) {
  const [p, q, r, s] = inverse([a, b, d, e]);
  return [p, q, -(p * c + q * f), r, s, -(r * c + s * f)];
}

/** The part of an image that a crop looks at: whole pixels {x, y, width, height}, none of them outside. */
export function regionOf(matrix, size, imageSize) {
  const [a, b, c, d, e, f] = invertMatrix(matrix);
  const corners = [[0, 0], [size[0] - 1, 0], [0, size[1] - 1], [size[0] - 1, size[1] - 1]];
  const range = (values, limit) => {
    const first = Math.min(limit, Math.max(0, Math.floor(Math.min(...values))));
    return [first, Math.max(0, Math.min(limit, Math.ceil(Math.max(...values)) + 1) - first)];
  };
  const [x, width] = range(corners.map(([u, v]) => a * u + b * v + c), imageSize[0]);
  const [y, height] = range(corners.map(([u, v]) => d * u + e * v + f), imageSize[1]);
  return { x, y, width, height };
}

/**
 * A crop: bilinear, black outside the image.
 *
 * @param pixels {data, width, height}: RGBA of a part of the image.
 * @param matrix From the image to the crop.
 * @param size Of the crop.
 * @param offset Where in the image the part begins.
 * @returns Uint8Array of height x width x 3, RGB.
 */
export function warp(pixels, matrix, [cropWidth, cropHeight], offset = [0, 0]) {
  const [a, b, c, d, e, f] = invertMatrix(matrix);
  const { data, width, height } = pixels;
  const crop = new Uint8Array(cropWidth * cropHeight * 3);
  let at = 0;
  for (let v = 0; v < cropHeight; v++) {
    for (let u = 0; u < cropWidth; u++, at += 3) {
      const x = a * u + b * v + c - offset[0];
      const y = d * u + e * v + f - offset[1];
      const left = Math.floor(x);
      const top = Math.floor(y);
      let [red, green, blue] = [0, 0, 0];
      for (let corner = 0; corner < 4; corner++) {
        const column = left + (corner & 1);
        const row = top + (corner >> 1);
        if (column < 0 || row < 0 || column >= width || row >= height) continue;
        const weight = (1 - Math.abs(x - column)) * (1 - Math.abs(y - row));
        const from = (row * width + column) * 4;
        red += weight * data[from];
        green += weight * data[from + 1];
        blue += weight * data[from + 2];
      }
      crop[at] = Math.round(red);
      crop[at + 1] = Math.round(green);
      crop[at + 2] = Math.round(blue);
    }
  }
  return crop;
}

/** Positions in heatmaps, [x, y] in cells, to the image: for crops that were not turned. */
export function heatmapToImage(points, { center, scale }, heatmapSize, codec) {
  const steps = heatmapSize.map((cells) => cells - (codec === "udp" ? 1 : 0));
  return points.map((point) =>
    point.map((value, axis) => {
      const side = scale[axis] * PIXEL_STD;
      return fround(value * (side / steps[axis]) + center[axis] - side / 2);
    }),
  );
}
