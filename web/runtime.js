/**
 * The networks, by ONNX Runtime: on the graphics card (WebGPU) where the browser has one for us, else on the processor
 * (WebAssembly).
 *
 * @typedef {import('./pictures.js').Picture} Picture
 * @typedef {{name: string, secondsPerPixel: number, networks: Object<string, (lr: Picture) => Promise<Picture>>,
 *     stages: import('./detector.js').Stages}} Runtime
 */
import { picture } from './pictures.js';

const DETECTOR = ['pnet', 'rnet', 'onet'];

/**
 * Loads everything that restoring needs.
 *
 * @param {object} settings what build.py writes
 * @param {string | null} asked for by ?runtime= in the address: webgpu or wasm
 * @param {(loaded: number, total: number) => void} progress in bytes
 * @returns {Promise<Runtime>}
 */
export async function start(settings, asked, progress) {
  const webgpu = asked ? asked === 'webgpu' : await hasGraphicsCard();
  const build = webgpu ? settings.runtimes.webgpu : settings.runtimes.wasm;
  const models = Object.fromEntries([...DETECTOR, ...settings.networks].map((name) => [name, `models/${name}.onnx`]));
  const files = await load([build.binary, ...Object.values(models)], settings.bytes, progress);
  const ort = await import(`./${build.script}`);
  ort.env.wasm.wasmBinary = files[build.binary];
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const open = async (name, provider) => run(ort, await ort.InferenceSession.create(
    new Uint8Array(files[models[name]]), { executionProviders: [provider], logSeverityLevel: 3 }));
  const stages = [];
  for (const name of DETECTOR) stages.push(await open(name, 'wasm'));
  const networks = {}, tries = [];
  for (const name of settings.networks) {
    tries.push(await restorer((provider) => open(name, provider), webgpu, settings.scale));
    networks[name] = tries.at(-1).network;
  }
  return { ...tries[0], networks, stages };
}

/** WebGPU needs a card that is not imitated by the processor, and WebAssembly that can wait for it. */
async function hasGraphicsCard() {
  if (!('Suspending' in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.info.isFallbackAdapter;
}

/** Files by name, those called .packed unpacked; sizes are known beforehand, since a server may compress, too. */
async function load(names, bytes, progress) {
  const total = names.reduce((sum, name) => sum + bytes[name], 0);
  let loaded = 0;
  const get = async (name) => {
    const response = await fetch(name);
    if (!response.ok) throw new Error(`${name} is not on this server (${response.status}).`);
    const counted = new TransformStream({
      transform(chunk, controller) {
        progress((loaded += chunk.byteLength), total);
        controller.enqueue(chunk);
      },
    });
    let content = response.body.pipeThrough(counted);
    if (name.endsWith('.packed')) content = content.pipeThrough(new DecompressionStream('gzip'));
    return [name, await new Response(content).arrayBuffer()];
  };
  return Object.fromEntries(await Promise.all(names.map(get)));
}

/** A function that runs a session; the first input takes the numbers. */
function run(ort, session) {
  return async (data, shape) => session.run({ [session.inputNames[0]]: new ort.Tensor('float32', data, shape) });
}

/** The network, tried once: some drivers promise what they cannot do, and the first run compiles. */
async function restorer(open, webgpu, scale) {
  if (webgpu) {
    try {
      return await tried('WebGPU', await open('webgpu'), scale);
    } catch (error) {
      console.warn('WebGPU does not work here; the processor computes.', error);
    }
  }
  const threads = self.crossOriginIsolated ? ' (threads)' : '';
  return tried(`WebAssembly${threads}`, await open('wasm'), scale);
}

async function tried(name, session, scale) {
  const network = async ({ width, height, data }) => {
    const { sr } = await session(data, [1, 3, height, width]);
    return picture(scale * width, scale * height, sr.data);
  };
  await network(picture(16, 16));
  const started = performance.now(), side = 32;
  await network(picture(side, side));
  return { name, network, secondsPerPixel: (performance.now() - started) / 1000 / side ** 2 };
}
