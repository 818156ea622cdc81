// Skeletons as litehrnet/drawing/skeletons.py draws them, and heatmaps as glowing clouds.

const FAINTEST = 0.15;
const FULL_GLOW = 0.5; // where no cell of a heatmap is as high as this, none glows in full
const OUTLINE = "rgb(25 25 25)";

/** "left", "right" or "center", by the keypoint's name. */
export function sideOf(name) {
  const start = name.split("_")[0];
  return start === "left" || start === "right" ? start : "center";
}

/**
 * Draw the skeleton of a pose: weak joints are faint, a limb is as faint as the weaker of its ends. Joints under
 * model.hidden_score and their limbs are not drawn.
 *
 * @param context Of a canvas that shows the whole picture.
 * @param scale Canvas pixels per image pixel.
 * @param boxSides [width, height] of the person's box in image pixels.
 */
export function drawPose(context, { points, scores }, model, scale, boxSides) {
  const sides = model.keypoint_names.map(sideOf);
  const opacity = scores.map((s) => FAINTEST + (1 - FAINTEST) * Math.min(1, Math.max(0, s) / model.min_score));
  const shown = scores.map((s) => s >= model.hidden_score);
  const spots = points.map((point) => point.map((value) => (value + 0.5) * scale));
  const longest = Math.max(context.canvas.width, context.canvas.height);
  const usual = Math.max(longest / 500, (Math.sqrt(boxSides[0] * boxSides[1]) / 75) * scale);
  const width = points.length > model.dense_set ? usual * model.dense_width : usual;
  for (const [a, b] of model.limbs.filter((ends) => ends.every((end) => shown[end]))) {
    stroke(context, spots[a], spots[b], width, model.colors[limbSide(sides[a], sides[b])], Math.min(opacity[a], opacity[b]));
  }
  spots.forEach((spot, i) => shown[i] && disc(context, spot, width, model.colors[sides[i]], opacity[i]));
}

/** Draw a box [x, y, width, height] of image pixels. */
export function drawBox(context, box, scale, dashes) {
  context.save();
  for (const [color, width] of [["rgb(25 25 25 / 0.7)", 3], ["white", 1.5]]) {
    Object.assign(context, { strokeStyle: color, lineWidth: width });
    context.setLineDash(dashes);
    context.strokeRect(...box.map((value) => value * scale));
  }
  context.restore();
}

/** Write the number of a person at the top of the box. */
export function drawNumber(context, number, [x, y], scale) {
  context.save();
  Object.assign(context, { font: "600 18px system-ui, sans-serif", lineWidth: 4, lineJoin: "round", textBaseline: "bottom" });
  Object.assign(context, { strokeStyle: "rgb(25 25 25 / 0.7)", fillStyle: "white" });
  const place = [x * scale + 3, Math.max(22, y * scale - 2)];
  context.strokeText(String(number), ...place);
  context.fillText(String(number), ...place);
  context.restore();
}

/**
 * Lay the heatmap of a keypoint over a canvas.
 *
 * @param heatmaps As Network.forward gives them.
 * @param keypoint Its number.
 * @param area [x, y, width, height] of the canvas that the heatmap's cells cover.
 */
export function drawHeatmap(context, heatmaps, keypoint, area) {
  const { size } = heatmaps;
  const [width, height] = size;
  const values = heatmaps.data.subarray(keypoint * width * height, (keypoint + 1) * width * height);
  const most = values.reduce((a, b) => Math.max(a, b), FULL_GLOW);
  const image = new ImageData(width, height);
  values.forEach((value, i) => image.data.set(glow(Math.max(0, value) / most), 4 * i));
  const cells = document.createElement("canvas");
  [cells.width, cells.height] = size;
  cells.getContext("2d").putImageData(image, 0, 0);
  context.save();
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, ...area);
  context.restore();
}

/** Paint a crop (Uint8Array of RGB) over a canvas of its size. */
export function paintCrop(context, crop) {
  const image = context.createImageData(context.canvas.width, context.canvas.height);
  for (let from = 0, to = 0; from < crop.length; from += 3, to += 4) {
    image.data.set([crop[from], crop[from + 1], crop[from + 2], 255], to);
  }
  context.putImageData(image, 0, 0);
}

// From transparent through magenta to yellow: neither of the skeleton's colors.
function glow(value) {
  return [255, 40 + 215 * value ** 2, 200 * (1 - value), 190 * Math.min(1, 1.6 * value)];
}

function limbSide(side, other) {
  const sides = new Set([side, other].filter((each) => each !== "center"));
  return sides.size === 1 ? [...sides][0] : "center";
}

function disc(context, [x, y], radius, color, opacity) {
  context.save();
  context.globalAlpha = opacity;
  for (const [paint, reach] of [[OUTLINE, radius + borderOf(radius)], [color, radius]]) {
    context.fillStyle = paint;
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.fill();
  }
  context.restore();
}

function borderOf(width) {
  return Math.max(1, width / 4);
}

// A line with round ends and a dark border.
function stroke(context, [x1, y1], [x2, y2], width, color, opacity) {
  context.save();
  Object.assign(context, { lineCap: "round", globalAlpha: opacity });
  for (const [paint, thickness] of [[OUTLINE, width + 2 * borderOf(width)], [color, width]]) {
    Object.assign(context, { strokeStyle: paint, lineWidth: thickness });
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }
  context.restore();
}
