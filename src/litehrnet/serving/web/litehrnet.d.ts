/** Left, top, width and height in pixels of the picture. */
export type Box = [x: number, y: number, width: number, height: number];

/** A box of one person, and how sure the detector is of it: 0 to 1. */
export interface Found {
  box: Box;
  score: number;
}

export interface Keypoint {
  name: string;
  /** Pixels of the picture; the center of a pixel has whole coordinates. */
  x: number;
  y: number;
  /** Nominally 0 to 1; keypoints of 0.2 or more are usually right. */
  score: number;
}

export interface Person extends Found {
  keypoints: Keypoint[];
}

/** A person in a film: the id stays the same from frame to frame. */
export interface FollowedPerson extends Person {
  id: number;
}

/** What pictures may be: everything that a canvas draws, or the pixels (RGBA). */
export type Picture = CanvasImageSource | ImageData | { data: Uint8ClampedArray | Uint8Array; width: number; height: number };

export interface Options {
  /** URL of the folder with engine.wasm and engine_relaxed.wasm; that of the module by default. */
  engineFolder?: string | URL;
}

export interface People {
  /** Names of the keypoints, in the order of every person's keypoints. */
  readonly keypointNames: string[];
  /** What the networks run on. */
  readonly engine: string;

  /** Boxes of the people in a picture, the surest first. An Error where the file has no detector. */
  detect(picture: Picture): Promise<Found[]>;

  /**
   * Keypoints of everyone in a picture; an empty list where nobody is found.
   *
   * With boxes, there is one result per box, with the score 1. A file without a detector looks for one person in the
   * whole picture.
   */
  estimate(picture: Picture, options?: { boxes?: Box[] }): Promise<Person[]>;

  /** For the frames of one film or camera, in their order. The detector looks at every eighth frame. */
  follow(): { estimate(frame: Picture): Promise<FollowedPerson[]> };

  /** Give the memory back. */
  close(): void;
}

/**
 * Load networks.
 *
 * @param source URL or bytes of a file that `litehrnet export --format web` wrote.
 * @throws Error, with one sentence, where the file is missing or damaged, or the browser has no WebAssembly SIMD.
 */
export function load(source: string | URL | ArrayBuffer | Uint8Array, options?: Options): Promise<People>;
