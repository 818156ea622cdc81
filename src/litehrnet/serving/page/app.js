// The page: where pictures come from, the box, the loop, and what is shown of the people.

import { drawBox, drawHeatmap, drawNumber, drawPose, paintCrop, sideOf } from "./litehrnet/draw.js";
import { heatmapToImage } from "./litehrnet/geometry.js";
import { followedPoses, load, posesIn } from "./litehrnet/litehrnet.js";
import { boxOverlap, Follower } from "./litehrnet/people.js";
import { openCamera, openFilm, openPhoto, Picture } from "./litehrnet/picture.js";
import { isSeen, nextBox } from "./litehrnet/pose.js";
import { startRecording } from "./recording.js";

const LONGEST_SIDE = 1280; // of the canvas; photos of any size are looked at in full
const SMALLEST_BOX = 8; // image pixels; what is smaller was a click

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const context = canvas.getContext("2d");

let networks = null; // as load gives it
let model = null; // their description
let picture = null;
let film = null; // {video, stop, isCamera}
let recording = null;
let chosenBox = null; // null for everyone, or without a detector for the whole picture
let followedBox = null; // of the last pose, while one person is followed
let follower = null; // while everyone is followed
let draggedBox = null;
let people = []; // poses that are drawn
let pose = null; // whose crop, heatmap and keypoints are shown
let looked = false; // at this picture, by the network
let keypoint = null; // whose heatmap is shown
let busy = false; // while the network runs; what changed meanwhile is looked at next
let waiting = false;

// The network, and the loop.

async function loadNetworks() {
  try {
    networks = await load(new URL("network.litehrnet", import.meta.url));
    model = networks.description;
    describeNetworks();
    element("running").value = `${networks.engine}, one thread`;
    await look();
  } catch (error) {
    element("running").value = "";
    say(`The network cannot be used: ${error.message}`);
  }
}

/** Find the people in the picture as it is now, and show them. */
async function look() {
  if (!networks || !picture) return;
  if (busy) {
    waiting = true;
    return;
  }
  busy = true;
  const where = picture;
  try {
    const started = performance.now();
    const found = chosenBox || !model.detector ? await lookForOne(where) : await lookForEveryone(where);
    if (where === picture) {
      const before = pose;
      [people, looked] = [found.people, true];
      // The same person as before, else the surest.
      pose = people.find(({ id }) => id && id === before?.id) ?? (before ? nearest(people, before.box) : (people[0] ?? null));
      show();
      showSpeed(found.milliseconds, performance.now() - started);
    }
  } catch (error) {
    say(`The network failed: ${error.message}`);
  }
  busy = false;
  if (waiting) {
    waiting = false;
    await look();
  }
}

async function lookForOne(where) {
  const follows = film && element("follow").checked;
  const box = (follows && followedBox) || chosenBox || [0, 0, ...where.size];
  const [found] = await posesIn(where, networks, [box]);
  if (where === picture) followedBox = film ? nextBox(found, model.min_score, where.size) : null;
  return { people: [{ ...found, isChosen: true }], milliseconds: { ...found.milliseconds, detector: 0 } };
}

async function lookForEveryone(where) {
  const started = performance.now();
  if (!film || !element("follow").checked) follower = null;
  else follower ??= new Follower();
  const found = await (follower ? followedPoses(where, networks, follower) : posesIn(where, networks));
  const milliseconds = { detector: performance.now() - started, crop: 0, network: 0, decode: 0 };
  for (const each of found) {
    for (const part in each.milliseconds) {
      milliseconds[part] += each.milliseconds[part];
      milliseconds.detector -= each.milliseconds[part]; // what is left is the detector's
    }
  }
  return { people: found, milliseconds };
}

function nearest(poses, box) {
  const overlaps = poses.map((each) => boxOverlap(each.box, box));
  return poses[overlaps.indexOf(Math.max(...overlaps))] ?? null;
}

// Pictures.

function open(opened) {
  [picture, people, pose, chosenBox, followedBox, follower] = [opened, [], null, null, null, null];
  looked = false;
  const longest = Math.max(...picture.size);
  const scale = (film ? Math.min(longest, LONGEST_SIDE) : LONGEST_SIDE) / longest; // a recording is as large as its film
  [canvas.width, canvas.height] = picture.size.map((side) => Math.max(1, Math.round(side * scale)));
  for (const id of ["canvas", "hint"]) element(id).hidden = false;
  element("empty").hidden = true;
  element("follow-label").hidden = element("record").hidden = !film;
  element("camera").setAttribute("aria-pressed", String(Boolean(film?.isCamera)));
  say("");
  clearSpeed();
  show();
  look();
}

async function showFile(file, name) {
  try {
    if (file.type.startsWith("video/")) {
      startFilm(await openFilm(file, name));
    } else {
      const photo = await openPhoto(file, name);
      stopFilm();
      open(photo);
    }
  } catch (error) {
    say(error.message);
  }
}

async function startCamera() {
  try {
    startFilm({ ...(await openCamera()), isCamera: true });
  } catch (error) {
    say(error.message);
  }
}

function startFilm(opened) {
  stopFilm();
  film = opened;
  const { video } = opened;
  open(new Picture(video, [video.videoWidth, video.videoHeight]));
  video.addEventListener("ended", () => {
    if (film !== opened) return;
    if (opened.isCamera) say("The camera has stopped.");
    endRecording();
  });
  const next = async () => {
    if (film !== opened) return;
    if (video.videoWidth !== picture.size[0] || video.videoHeight !== picture.size[1]) {
      open(new Picture(video, [video.videoWidth, video.videoHeight])); // a phone was turned
    }
    if (networks) await look();
    else show();
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}

function stopFilm() {
  endRecording();
  film?.stop();
  film = null;
  element("camera").setAttribute("aria-pressed", "false");
  element("record").hidden = true;
}

function endRecording() {
  recording?.stop();
  recording = null;
  element("record").textContent = "Record";
}

function record() {
  if (recording) return endRecording();
  recording = startRecording(canvas);
  element("record").textContent = "Stop and save";
}

// What is shown.

function show() {
  const scale = canvas.width / picture.size[0];
  picture.paint(context);
  if (pose) {
    if (keypoint !== null) drawHeatmap(context, pose.heatmaps, keypoint, heatmapArea(scale));
    for (const each of people.filter(isShown)) {
      drawPose(context, each, model, scale, each.box.slice(2));
      if (each.id) drawNumber(context, each.id, each.box, scale);
    }
  }
  showCrop();
  const count = people.filter(isShown).length;
  element("nobody").hidden = !looked || count > 0;
  element("count").value = looked && model.detector && !chosenBox ? `${count} ${count === 1 ? "person" : "people"}. ` : "";
  if (draggedBox) drawBox(context, draggedBox, scale, []);
  else if (pose && (chosenBox || film || people.length > 1)) drawBox(context, pose.box, scale, [6, 5]);
  element("whole").disabled = !chosenBox;
  showKeypoints();
}

/** Whether a pose is drawn: those that were looked for everywhere were chosen by their scores already. */
function isShown(each) {
  return !each.isChosen || isSeen(each, model.min_score);
}

/** [x, y, width, height] of the canvas that the heatmaps' cells cover. */
function heatmapArea(scale) {
  const size = pose.heatmaps.size;
  const corners = [[-0.5, -0.5], size.map((cells) => cells - 0.5)];
  const [first, last] = heatmapToImage(corners, pose.place, size, model.codec.kind);
  return [(first[0] + 0.5) * scale, (first[1] + 0.5) * scale, (last[0] - first[0]) * scale, (last[1] - first[1]) * scale];
}

function showCrop() {
  if (!model) return;
  const crop = element("crop");
  [crop.width, crop.height] = model.input_size_wh; // empties it, too
  if (!pose) return;
  paintCrop(crop.getContext("2d"), pose.crop);
  if (keypoint !== null) drawHeatmap(crop.getContext("2d"), pose.heatmaps, keypoint, [0, 0, crop.width, crop.height]);
}

function makeKeypointRows() {
  const rows = model.keypoint_names.map((name, i) => {
    const row = document.createElement("tr");
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "checkbox", name: "heatmap", value: i });
    input.addEventListener("change", () => chooseKeypoint(input.checked ? i : null));
    label.append(input, name.replaceAll("_", " "));
    label.style.setProperty("--side", model.colors[sideOf(name)]);
    row.insertCell().append(label);
    row.insertCell().append(document.createElement("data"));
    row.insertCell().append(document.createElement("data"), ", ", document.createElement("data"));
    return row;
  });
  element("keypoints").replaceChildren(...rows);
}

function chooseKeypoint(chosen) {
  keypoint = chosen;
  for (const input of element("keypoints").querySelectorAll("input")) input.checked = Number(input.value) === chosen;
  if (picture) show();
}

function showKeypoints() {
  [...element("keypoints").rows].forEach((row, i) => {
    const values = pose ? [pose.scores[i], ...pose.points[i]] : [];
    row.classList.toggle("weak", Boolean(pose) && values[0] < model.min_score);
    row.querySelectorAll("data").forEach((data, part) => {
      data.value = values[part] ?? "";
      data.textContent = pose ? values[part].toFixed(part === 0 ? 2 : 0) : "–";
    });
  });
}

let speeds = [];

function showSpeed(milliseconds, total) {
  speeds = [...speeds.slice(-19), { ...milliseconds, total, at: performance.now() }];
  const mean = (part) => speeds.reduce((sum, each) => sum + each[part], 0) / speeds.length;
  element("total").value = mean("total").toFixed(1);
  for (const part of ["detector", "crop", "network", "decode"]) element(`ms-${part}`).value = mean(part).toFixed(1);
  const seconds = (speeds.at(-1).at - speeds[0].at) / 1000;
  if (film && seconds > 0) element("fps").value = ((speeds.length - 1) / seconds).toFixed(1);
}

function clearSpeed() {
  speeds = [];
  for (const id of ["total", "ms-detector", "ms-crop", "ms-network", "ms-decode", "fps"]) element(id).value = "–";
}

function say(text) {
  element("error").textContent = text;
  element("error").hidden = !text;
}

// The hand: files, drops, the box.

function placeOf(event) {
  // The canvas is shown as large as its frame allows, in the frame's middle.
  const frame = canvas.getBoundingClientRect();
  const scale = Math.min(frame.width / canvas.width, frame.height / canvas.height);
  const away = [event.clientX - frame.left - frame.width / 2, event.clientY - frame.top - frame.height / 2];
  return picture.size.map((side, axis) => {
    const shown = scale * [canvas.width, canvas.height][axis];
    return Math.min(1, Math.max(0, away[axis] / shown + 0.5)) * side;
  });
}

function listenToTheBox() {
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    start = placeOf(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const end = placeOf(event);
    const sides = end.map((value, axis) => Math.abs(value - start[axis]));
    draggedBox = Math.min(...sides) < SMALLEST_BOX ? null : [...end.map((value, axis) => Math.min(value, start[axis])), ...sides];
    show();
  });
  canvas.addEventListener("pointerup", () => {
    const dragged = Boolean(draggedBox);
    if (dragged) [chosenBox, followedBox, draggedBox] = [draggedBox, null, null];
    else if (start && people.length > 1) pose = personAt(start) ?? pose;
    start = null;
    show();
    if (dragged) look();
  });
  canvas.addEventListener("pointercancel", () => {
    start = draggedBox = null;
    show();
  });
}

/** The pose whose box is the smallest around a point of the picture; null for none. */
function personAt(point) {
  const around = people.filter(({ box }) => point.every((value, i) => value >= box[i] && value <= box[i] + box[i + 2]));
  return around.sort((a, b) => a.box[2] * a.box[3] - b.box[2] * b.box[3])[0] ?? null;
}

function listenToDrops() {
  const stage = element("stage");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  addEventListener("dragleave", () => stage.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) showFile(file, file.name);
  });
}

function listenToButtons() {
  element("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) showFile(file, file.name);
    event.target.value = "";
  });
  element("example").addEventListener("click", async () => {
    showFile(await (await fetch(new URL("example.jpg", import.meta.url))).blob(), "example.jpg");
  });
  element("camera").addEventListener("click", () => (film?.isCamera ? stopFilm() : startCamera()));
  element("record").addEventListener("click", record);
  element("whole").addEventListener("click", () => {
    chosenBox = followedBox = follower = null;
    look();
  });
  element("follow").addEventListener("change", () => {
    followedBox = follower = null;
  });
}

function describeNetworks() {
  const [width, height] = model.input_size_wh;
  element("model").textContent = `${model.name}, ${model.keypoint_names.length} keypoints, crops of ${width} × ${height}`;
  element("model").title = model.provenance;
  element("whole").textContent = model.detector ? "Everyone" : "Whole picture";
  element("follow").nextSibling.textContent = model.detector ? " follow people" : " follow the person";
  element("ms-detector").closest("div").hidden = !model.detector;
  makeKeypointRows();
  showKeypoints();
}

listenToTheBox();
listenToDrops();
listenToButtons();
await loadNetworks();
