// The network in the browser: ONNX Runtime Web on WebAssembly, or on WebGPU where the browser has it.

const MODULES = { wasm: "/ort/ort.wasm.min.mjs", webgpu: "/ort/ort.webgpu.min.mjs" };
const MOST_THREADS = 4; // the layers are too small to be shared by more; threads that wait keep a core busy

/**
 * Load a served network.
 *
 * @param model What /model.json says of it: file, input_size_wh, mean and std.
 * @param backend "wasm" or "webgpu".
 * @param threads Of WebAssembly; the first call of a page settles it. Half the processors by default.
 */
export async function openNetwork(model, backend, threads = usualThreads()) {
  const ort = await import(MODULES[backend]);
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  const content = await fetch(model.file);
  const options = { executionProviders: [backend], logSeverityLevel: 3 }; // without notes to developers
  const session = await ort.InferenceSession.create(await content.arrayBuffer(), options);
  const network = new Network(ort, session, model, backend);
  const [width, height] = model.input_size_wh;
  await network.forward(new Uint8Array(width * height * 3)); // the first run takes longer: it lays out memory
  return network;
}

function usualThreads() {
  return Math.min(MOST_THREADS, Math.ceil((navigator.hardwareConcurrency || 1) / 2));
}

class Network {
  #ort;
  #session;
  #model;

  constructor(ort, session, model, backend) {
    this.#ort = ort;
    this.#session = session;
    this.#model = model;
    const threads = ort.env.wasm.numThreads;
    this.description = backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  /**
   * Heatmaps of one crop, or a detector's maps of one picture.
   *
   * @param crop Uint8Array of height x width x 3, RGB, of the network's input size.
   * @returns {data, size: [width, height]}: Float32Array of maps x height x width. Or of a SimCC head {rows, size}:
   * Float32Arrays of keypoints x width bins and of keypoints x height bins.
   */
  async forward(crop) {
    const [width, height] = this.#model.input_size_wh;
    const images = new this.#ort.Tensor("float32", normalize(crop, this.#model), [1, 3, height, width]);
    const outputs = await this.#session.run({ [this.#session.inputNames[0]]: images });
    const [first, second] = this.#session.outputNames.map((name) => outputs[name]);
    if (this.#model.codec?.kind === "simcc") {
      return { rows: [first.data, second.data], size: [first.dims[2], second.dims[2]] };
    }
    return { data: first.data, size: [first.dims[3], first.dims[2]] };
  }

  /** Free what the network holds. */
  async close() {
    await this.#session.release();
  }
}

/** Gray levels to 0..1, minus the mean, over the standard deviation, channels first: normalize() of crop.py. */
export function normalize(crop, { mean, std }) {
  const pixels = crop.length / 3;
  const normalized = new Float32Array(crop.length);
  for (let channel = 0; channel < 3; channel++) {
    const factor = Math.fround(1 / (255 * std[channel]));
    const offset = Math.fround(-mean[channel] / std[channel]);
    const start = channel * pixels;
    for (let i = 0; i < pixels; i++) {
      normalized[start + i] = Math.fround(crop[3 * i + channel] * factor) + offset;
    }
  }
  return normalized;
}
