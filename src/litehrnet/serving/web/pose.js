// From a picture and a box to a pose: the one way for photos and camera.

import { decode } from "./codec.js";
import { centerAndScale, cropMatrix, heatmapToImage, regionOf, warp } from "./geometry.js";

/**
 * Find the keypoints of the person in a box.
 *
 * @param picture A Picture.
 * @param box [x, y, width, height] in its pixels.
 * @param network A Network of engine.js.
 * @param model The description of the networks.
 * @returns {points: [x, y] in the picture's pixels, scores, crop, heatmaps, place, milliseconds: {crop, network, decode}}.
 */
export async function findPose(picture, box, network, model) {
  const started = performance.now();
  const size = model.input_size_wh;
  const place = centerAndScale(box, size, model.padding);
  const matrix = cropMatrix(place, size, model.codec.kind);
  const region = regionOf(matrix, size, picture.size);
  const crop = warp(picture.pixels(region), matrix, size, [region.x, region.y]);
  const cropped = performance.now();
  const heatmaps = await network.forward(crop);
  const ran = performance.now();
  const { points, scores } = decode(heatmaps, model.codec);
  const found = heatmapToImage(points, place, heatmaps.size, model.codec.kind);
  const milliseconds = { crop: cropped - started, network: ran - cropped, decode: performance.now() - ran };
  return { points: found, scores, crop, heatmaps, place, milliseconds };
}

/**
 * Whether somebody is there, as is_seen() of litehrnet/inference/estimator.py: a quarter of the joints, and at least
 * three, have a score of minScore or more. Pictures without people give joints too, with low scores.
 */
export function isSeen({ scores }, minScore) {
  const count = scores.length;
  return scores.filter((score) => score >= minScore).length >= Math.min(Math.max(3, count / 4), count);
}

/**
 * The box to look into next, around the joints that were found; null where too few were.
 *
 * @param pose As findPose gives it.
 * @param minScore From which a joint counts.
 * @param imageSize [width, height]; the box stays inside.
 */
export function nextBox({ points, scores }, minScore, imageSize) {
  const seen = points.filter((_, i) => scores[i] >= minScore);
  if (seen.length < Math.max(3, points.length / 4)) return null;
  const [x, y] = [0, 1].map((axis) => {
    const values = seen.map((point) => point[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = 0.15 * (high - low) + 0.02 * imageSize[axis]; // joints lie inside the body's outline
    return [Math.max(0, low - margin), Math.min(imageSize[axis] - 1, high + margin)];
  });
  return x[1] > x[0] && y[1] > y[0] ? [x[0], y[0], x[1] - x[0], y[1] - y[0]] : null;
}
