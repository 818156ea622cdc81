// What a canvas shows, as a film to keep.

const FRAMES_PER_SECOND = 30; // at most

/** Record a canvas; stop() ends the film and offers it as a file. */
export function startRecording(canvas) {
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    const address = URL.createObjectURL(new Blob(parts, { type: recorder.mimeType }));
    const name = `litehrnet.${recorder.mimeType.startsWith("video/mp4") ? "mp4" : "webm"}`;
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  });
  recorder.start();
  return recorder;
}
