// The engine of csrc/ as WebAssembly, and the files of engine/webfile.py.

const MAGIC = "lhrnweb\x01";
const WIDTH_BYTES = 4; // of every number in a file

// Modules that do nothing but need SIMD, without and with fused multiply-add.
const SIMD = wasmOf([0x41, 0, 0xfd, 0x0f]);
const RELAXED_SIMD = wasmOf([0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0xfd, 0x85, 0x02]);

/** A module with one function that returns a vector: small enough that every section has a length of one byte. */
function wasmOf(code) {
  const sections = [1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b];
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections]);
}

/**
 * The fastest engine that this browser runs, compiled.
 *
 * @param folder URL of the folder with engine.wasm and engine_relaxed.wasm.
 * @returns {module: WebAssembly.Module, name: "WebAssembly SIMD" or "WebAssembly relaxed SIMD"}.
 */
export async function compileEngine(folder) {
  if (!WebAssembly.validate(SIMD)) throw new Error("this browser has no WebAssembly SIMD (all current browsers have)");
  const relaxed = WebAssembly.validate(RELAXED_SIMD);
  const file = new URL(relaxed ? "engine_relaxed.wasm" : "engine.wasm", folder);
  return { module: await WebAssembly.compile(await read(file)), name: `WebAssembly ${relaxed ? "relaxed " : ""}SIMD` };
}

/** The bytes of a URL; an Error in one sentence where there are none. In Node, also of files. */
export async function read(url) {
  if (url.protocol === "file:") return (await import("node:fs/promises")).readFile(url);
  let answer;
  try {
    answer = await fetch(url);
  } catch (error) {
    throw new Error(`${url}: cannot be loaded (${error.message})`);
  }
  if (!answer.ok) throw new Error(`${url}: cannot be loaded (${answer.status} ${answer.statusText})`);
  return answer.arrayBuffer();
}

/**
 * The description and the programs in a file of webfile.py.
 *
 * @param content ArrayBuffer or Uint8Array.
 * @param name For messages.
 * @returns {description, programs}: the JSON object, and Uint8Arrays {numbers, constants} of each program.
 */
export async function unpack(content, name) {
  const bytes = await unzipped(new Uint8Array(content.buffer ?? content, content.byteOffset ?? 0, content.byteLength), name);
  const isOurs = bytes.length >= 12 && String.fromCharCode(...bytes.subarray(0, 8)) === MAGIC;
  if (!isOurs) throw new Error(`${name}: not a network for browsers (expected a file that litehrnet export --format web wrote)`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  let at = 12 + length;
  const take = (count) => {
    const part = bytes.subarray(at, at + WIDTH_BYTES * count);
    at += WIDTH_BYTES * count;
    if (at > bytes.length) throw new Error(`${name}: cut short`);
    return fromPlanes(part);
  };
  if (at > bytes.length) throw new Error(`${name}: cut short`);
  const description = JSON.parse(new TextDecoder().decode(bytes.subarray(12, at)));
  const programs = description.programs.map(({ numbers, constants }) => {
    return { numbers: take(numbers), constants: take(constants) };
  });
  return { description, programs };
}

// Some servers announce what is compressed as such; then the browser has unpacked it already.
async function unzipped(bytes, name) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error(`${name}: damaged (its compressed data cannot be read)`);
  }
}

function fromPlanes(planes) {
  const count = planes.length / WIDTH_BYTES;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < WIDTH_BYTES; plane++) {
    for (let at = plane, from = plane * count; at < bytes.length; at += WIDTH_BYTES) bytes[at] = planes[from++];
  }
  return bytes;
}

/** A program in memory of its own. */
export class Network {
  #engine;
  #size;

  /**
   * Check a program, and get ready to run it; an Error says what is wrong with it.
   *
   * @param module As compileEngine gives it.
   * @param program {numbers, constants}: Uint8Arrays.
   */
  constructor(module, { numbers, constants }) {
    this.#engine = new WebAssembly.Instance(module).exports;
    this.#engine._initialize?.();
    this.#try(() => {
      const places = [numbers, constants].map((bytes) => {
        const place = this.#engine.litehrnet_allocate(bytes.length);
        new Uint8Array(this.#engine.memory.buffer, place).set(bytes);
        return [place, bytes.length / WIDTH_BYTES];
      });
      this.#engine.litehrnet_open(...places.flat());
      for (const [place] of places) this.#engine.litehrnet_free(place);
    });
    const [width, height] = new Int32Array(numbers.slice(0, 8).buffer);
    this.#size = 3 * width * height;
  }

  /**
   * The maps of one picture.
   *
   * @param image Uint8Array of height x width x 3, RGB, of the network's input size.
   * @returns {data, size: [width, height]}: Float32Array of maps x height x width.
   */
  forward(image) {
    if (!this.#engine) throw new Error("the network is closed");
    if (image.length !== this.#size) throw new Error(`expected a picture of ${this.#size} bytes, not ${image.length}`);
    return this.#try(() => {
      const engine = this.#engine;
      new Uint8Array(engine.memory.buffer, engine.litehrnet_image()).set(image);
      engine.litehrnet_run();
      const [count, height, width] = new Int32Array(engine.memory.buffer, engine.litehrnet_shape(), 3);
      const maps = new Float32Array(engine.memory.buffer, engine.litehrnet_maps(), count * height * width);
      return { data: maps.slice(), size: [width, height] };
    });
  }

  /** Give the memory back. */
  close() {
    this.#engine = null;
  }

  // An engine that was stopped is not used again.
  #try(work) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      const { memory, litehrnet_error } = this.#engine;
      const bytes = new Uint8Array(memory.buffer, litehrnet_error());
      this.#engine = null;
      const sentence = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
      throw new Error(sentence || `the engine stopped: ${error.message}`);
    }
  }
}
