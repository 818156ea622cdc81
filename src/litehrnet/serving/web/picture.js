// What a pose is looked for in: a photo, or the newest frame of the camera.

/** Pixels of an image or a video, as stored: without color management, upright. */
export class Picture {
  #source;
  #canvas = document.createElement("canvas");

  /**
   * @param source An ImageBitmap, or a video that plays.
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
