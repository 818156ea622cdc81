// The engine in the browser against ONNX Runtime Web on one thread: the bundled networks, interleaved, in Node.
//
//   npm install --prefix /tmp/ort onnxruntime-web@1.30.0
//   litehrnet export src/litehrnet/weights/lite_hrnet_18.safetensors --format web --out people.litehrnet
//   litehrnet export src/litehrnet/weights/lite_hrnet_18.safetensors --half --out /tmp/ort/lite_hrnet_18.onnx
//   litehrnet export src/litehrnet/weights/person.safetensors --half --out /tmp/ort/person.onnx
//   node benchmarks/browser_engine.mjs people.litehrnet /tmp/ort [ROUNDS]
//
// Processor time per picture, as other work on the machine changes it less than elapsed time.

import { readFile } from "node:fs/promises";
import os from "node:os";
import { pathToFileURL } from "node:url";
import { compileEngine, Network, unpack } from "../src/litehrnet/serving/web/engine.js";

const [file, peer, rounds = "30"] = process.argv.slice(2);
const { description, programs } = await unpack(await readFile(file), file);
const engine = await compileEngine(new URL("../src/litehrnet/serving/web/", import.meta.url));
const folder = pathToFileURL(`${peer}/node_modules/onnxruntime-web/dist/`);
const ort = await import(new URL("ort.wasm.min.mjs", folder));
ort.env.wasm.wasmPaths = folder.href;
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = await readFile(new URL("ort-wasm-simd-threaded.wasm", folder));

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function milliseconds(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function compare(name, network, program) {
  const [width, height] = network.input_size_wh;
  const ours = new Network(engine.module, program);
  const session = await ort.InferenceSession.create(await readFile(`${peer}/${name}.onnx`), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3,
  });
  const image = new Uint8Array(3 * width * height).map((_, i) => (i * 7919) % 251);
  const values = new Float32Array(image.length);
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / (width * height));
    const pixel = image[3 * (i % (width * height)) + channel];
    values[i] = (pixel / 255 - network.mean[channel]) / network.std[channel];
  }
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", values, [1, 3, height, width]) };
  const run = { ours: () => ours.forward(image), theirs: () => session.run(feeds) };
  const times = { ours: [], theirs: [] };
  for (let round = 0; round < Number(rounds) + 3; round++) {
    for (const each of ["ours", "theirs"]) {
      const taken = await milliseconds(run[each]);
      if (round >= 3) times[each].push(taken);
    }
  }
  const ratio = median(times.theirs.map((value, i) => value / times.ours[i]));
  for (const each of ["ours", "theirs"]) {
    console.log(`${name} ${width}x${height} ${each}: median ${median(times[each]).toFixed(1)}, minimum ${Math.min(...times[each]).toFixed(1)} ms`);
  }
  console.log(`${name}: ${ratio.toFixed(2)} times as fast (median of the rounds' ratios)`);
}

console.log(`${os.cpus()[0].model}, Node ${process.version}, ${engine.name}, load ${os.loadavg()[0].toFixed(1)}`);
await compare("lite_hrnet_18", description, programs[0]);
await compare("person", description.detector, programs[1]);
process.exit(0);
