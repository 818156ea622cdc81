// Find people and their keypoints in pictures, in the browser. litehrnet.d.ts says what everything is.

import { detect } from "./detector.js";
import { compileEngine, Network, read, unpack } from "./engine.js";
import { findPeople, Follower } from "./people.js";
import { pictureOf } from "./picture.js";
import { findPose, isSeen } from "./pose.js";

/** Load networks from a file that litehrnet export --format web wrote: its URL or its bytes. */
export async function load(source, { engineFolder = new URL(".", import.meta.url) } = {}) {
  const isAddress = typeof source === "string" || source instanceof URL;
  const here = typeof location === "undefined" ? import.meta.url : location.href;
  const address = isAddress ? new URL(source, here) : null;
  const [engine, { description, programs }] = await Promise.all([
    compileEngine(new URL(engineFolder, here)),
    (async () => unpack(isAddress ? await read(address) : source, isAddress ? address.href : "the given bytes"))(),
  ]);
  const [network, detector = null] = programs.map((program) => new Network(engine.module, program));
  return new People(description, network, detector, engine.name);
}

class People {
  constructor(description, network, detector, engine) {
    Object.assign(this, { description, network, detector, engine });
  }

  get keypointNames() {
    return this.description.keypoint_names;
  }

  async detect(image) {
    if (!this.detector) throw new Error("the file has no detector (expected boxes, or pictures of one person)");
    return detect(pictureOf(image), this.detector, this.description.detector);
  }

  async estimate(image, { boxes } = {}) {
    const picture = pictureOf(image);
    return (await posesIn(picture, this, boxes)).map((pose) => this.#person(pose));
  }

  follow() {
    const follower = new Follower();
    return {
      estimate: async (frame) => {
        const picture = pictureOf(frame);
        return (await followedPoses(picture, this, follower)).map((pose) => ({ id: pose.id, ...this.#person(pose) }));
      },
    };
  }

  close() {
    this.network.close();
    this.detector?.close();
  }

  #person({ box, boxScore, points, scores }) {
    const keypoints = points.map(([x, y], i) => ({ name: this.keypointNames[i], x, y, score: scores[i] }));
    return { box, score: boxScore, keypoints };
  }
}

/**
 * Poses in a picture, as findPose gives them, with box and boxScore.
 *
 * @param people As load gives it.
 * @param boxes [x, y, width, height] of each person; those of the detector, or the whole picture, by default.
 */
export async function posesIn(picture, { network, detector, description }, boxes) {
  if (!boxes && detector) {
    return findPeople(picture, await detect(picture, detector, description.detector), network, description);
  }
  const poses = [];
  for (const box of boxes ?? [[0, 0, ...picture.size]]) {
    poses.push({ ...(await findPose(picture, box, network, description)), box, boxScore: 1 });
  }
  return boxes ? poses : poses.filter((pose) => isSeen(pose, description.min_score));
}

/** The same in the next frame of a film, with the id of each person. */
export async function followedPoses(picture, people, follower) {
  const { network, detector, description } = people;
  const poses = detector
    ? await findPeople(picture, await follower.boxes(picture, detector, description.detector), network, description)
    : await posesIn(picture, people, follower.ownBoxes(picture.size));
  const seen = detector ? poses : poses.filter((pose) => isSeen(pose, description.min_score));
  return follower.follow(seen, description, picture.size);
}
