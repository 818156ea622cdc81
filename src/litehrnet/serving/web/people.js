// Everyone in a picture, as PoseEstimator of litehrnet/inference/estimator.py; and from frame to frame of the camera.

import { detect, overlap } from "./detector.js";
import { PIXEL_STD } from "./geometry.js";
import { findPose, nextBox } from "./pose.js";

const DETECT_EVERY = 8; // frames of the camera; earlier when someone is lost
const SAME_PERSON = 0.3; // overlap of a detected box and a followed one
const LEAST_SIMILARITY = 0.2; // object keypoint similarity of a person in one frame and in an earlier one
const REMEMBERED = 30; // frames in which a person may be out of sight and keeps the id

/**
 * Poses of the people in some boxes.
 *
 * @param boxes {box, score} of each.
 * @param network Finds keypoints.
 * @param model The description of the networks; its detector is not null.
 * @returns Poses as findPose gives them, each with its box and boxScore, without those that show nobody or one twice.
 */
export async function findPeople(picture, boxes, network, model) {
  const poses = [];
  const closer = { ...model, padding: model.detector.padding };
  for (const { box, score } of boxes) {
    poses.push({ ...(await findPose(picture, box, network, closer)), box, boxScore: score });
  }
  const { least_person_score: least } = model.detector;
  return distinct(poses.filter((pose) => rescored(pose, model.counted_score) >= least), model);
}

/** Poses without those that are nearly equal to a better one, in their order. */
export function distinct(poses, model) {
  const rated = poses.map((pose) => ({ pose, score: rescored(pose, model.counted_score) }));
  const kept = [];
  for (const { pose } of rated.sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => similarity(pose, other, model.sigmas) <= model.most_similar)) kept.push(pose);
  }
  return poses.filter((pose) => kept.includes(pose));
}

// rescore() of oks.py.
function rescored({ boxScore, scores }, countedScore) {
  const counted = scores.filter((score) => score > countedScore);
  return (boxScore * counted.reduce((sum, score) => sum + score, 0)) / Math.max(1, counted.length);
}

// Object keypoint similarity over the padded boxes: pairwise_oks() of oks.py.
function similarity(one, other, sigmas) {
  const area = ({ place }) => place.scale[0] * PIXEL_STD * place.scale[1] * PIXEL_STD;
  const mean = (area(one) + area(other)) / 2 + Number.EPSILON;
  const alike = sigmas.map((sigma, i) => {
    const squared = (one.points[i][0] - other.points[i][0]) ** 2 + (one.points[i][1] - other.points[i][1]) ** 2;
    return Math.exp(-squared / (2 * sigma) ** 2 / mean / 2);
  });
  return alike.reduce((sum, value) => sum + value, 0) / sigmas.length;
}

/**
 * Follows everyone from frame to frame. Between two looks of the detector, a box is around the last keypoints. A person
 * has the id of the most similar one of the frames before.
 */
export class Follower {
  #people = []; // {box, score, seen}: where the people of the last frame should be now, and whether they were seen
  #frames = 0; // since the detector looked
  #lost = false; // whether someone was lost in the last frame
  #known = []; // {id, pose, age}: the last pose of everyone with an id, and frames since then
  #lastId = 0;

  /** Boxes of the people in the next frame, {box, score} of each; `network` is the detector. */
  async boxes(picture, network, detector) {
    this.#frames += 1;
    if (!this.#lost && this.#people.length > 0 && this.#frames < DETECT_EVERY) return this.#people;
    this.#frames = 0;
    const found = await detect(picture, network, detector);
    const isMissed = ({ box, seen }) => seen && found.every((each) => boxOverlap(box, each.box) < SAME_PERSON);
    return [...found, ...this.#people.filter(isMissed)];
  }

  /** The same without a detector: of the person that is followed, or the whole frame. */
  ownBoxes(size) {
    const [person] = this.#people;
    return [person?.seen ? person.box : [0, 0, ...size]];
  }

  /** Note who was found in the boxes, as findPeople gives them; returns them with their ids. */
  follow(people, model, imageSize) {
    const count = (some) => some.filter(({ seen }) => seen).length;
    const before = count(this.#people);
    this.#people = people.map((pose) => {
      const box = nextBox(pose, model.min_score, imageSize);
      return { box: box ?? pose.box, score: pose.boxScore, seen: box !== null };
    });
    this.#lost = count(this.#people) < before;
    return this.#withIds(people, model.sigmas);
  }

  // The most similar pairs first.
  #withIds(people, sigmas) {
    const pairs = people.flatMap((pose, i) => this.#known.map((known) => [similarity(pose, known.pose, sigmas), i, known]));
    const ids = new Map();
    const taken = new Set();
    for (const [alike, i, known] of pairs.sort((a, b) => b[0] - a[0])) {
      if (alike < LEAST_SIMILARITY || ids.has(i) || taken.has(known.id)) continue;
      ids.set(i, known.id);
      taken.add(known.id);
    }
    const poses = people.map((pose, i) => ({ ...pose, id: ids.get(i) ?? ++this.#lastId }));
    const away = this.#known.filter(({ id }) => !taken.has(id)).map((known) => ({ ...known, age: known.age + 1 }));
    const here = poses.map(({ id, points, place }) => ({ id, pose: { points, place }, age: 0 }));
    this.#known = [...here, ...away.filter(({ age }) => age <= REMEMBERED)];
    return poses;
  }
}

/** Intersection over union of two boxes [x, y, width, height]. */
export function boxOverlap(a, b) {
  const corners = ([x, y, width, height]) => [x, y, x + width, y + height];
  return overlap(corners(a), corners(b));
}
