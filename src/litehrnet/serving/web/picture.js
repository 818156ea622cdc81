// What a pose is looked for in: a photo, or the newest frame of a film or the camera.

/** Pixels of an image or a video, as stored: without color management, upright. */
export class Picture {
  #source;
  #canvas = globalThis.document ? document.createElement("canvas") : new OffscreenCanvas(1, 1);

  /**
   * @param source An ImageBitmap, a video that plays, or what else a canvas draws.
   * @param size [width, height] in pixels.
   */
  constructor(source, size) {
    this.#source = source;
    this.size = size;
  }

  /** RGBA of a part: {data, width, height}; without pixels where the part is empty. */
  pixels({ x, y, width, height }) {
    if (width === 0 || height === 0) return { data: [], width, height };
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.#source, x, y, width, height, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  }

  /** Paint it over a whole canvas. */
  paint(context) {
    context.drawImage(this.#source, 0, 0, context.canvas.width, context.canvas.height);
  }
}

// Pixels that are at hand.
class PixelPicture {
  #image;

  constructor(image) {
    this.#image = image;
    this.size = [image.width, image.height];
  }

  pixels({ x, y, width, height }) {
    const { data, width: all } = this.#image;
    const part = new Uint8ClampedArray(4 * width * height);
    for (let row = 0; row < height; row++) {
      const from = 4 * ((y + row) * all + x);
      part.set(data.subarray(from, from + 4 * width), 4 * row * width);
    }
    return { data: part, width, height };
  }
}

/** A Picture of an image, a video, a canvas, a frame or pixels {data: RGBA, width, height}. */
export function pictureOf(image) {
  if (image instanceof Picture) return image;
  if (image.data) return new PixelPicture(image);
  const width = image.naturalWidth ?? image.videoWidth ?? image.displayWidth ?? image.width;
  const height = image.naturalHeight ?? image.videoHeight ?? image.displayHeight ?? image.height;
  if (!(width > 0 && height > 0)) throw new Error("the picture has no pixels yet (expected a loaded image or a playing video)");
  return new Picture(image, [width, height]);
}

/** A photo from a file; an Error in one sentence where the browser does not read it. */
export async function openPhoto(file, name) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
  try {
    const bitmap = await createImageBitmap(file, options);
    return new Picture(bitmap, [bitmap.width, bitmap.height]);
  } catch {
    throw new Error(`${name}: not a picture that this browser reads.`);
  }
}

/** The camera: {video, stop}; an Error in one sentence where there is none or it is not allowed. */
export async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("The camera is given to pages from this very machine (http://localhost) or over https only.");
  }
  const wanted = { video: { width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    const reasons = { NotAllowedError: "it was not allowed", NotFoundError: "there is none" };
    throw new Error(`The camera cannot be used: ${reasons[error.name] ?? error.message}.`);
  }
  const video = document.createElement("video");
  [video.srcObject, video.muted, video.playsInline] = [stream, true, true];
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  stream.getVideoTracks()[0].addEventListener("ended", () => video.dispatchEvent(new Event("ended")));
  await video.play();
  return { video, stop };
}

/** A film from a file, which plays without sound: {video, stop}; an Error in one sentence where it cannot be read. */
export async function openFilm(file, name) {
  const video = document.createElement("video");
  const address = URL.createObjectURL(file);
  [video.src, video.muted, video.playsInline] = [address, true, true];
  const stop = () => {
    video.pause();
    URL.revokeObjectURL(address);
  };
  try {
    await video.play();
  } catch {
    stop();
    throw new Error(`${name}: not a film that this browser plays.`);
  }
  return { video, stop };
}
