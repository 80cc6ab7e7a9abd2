/**
 * The ONNX child: owns one session and runs one window a request. It holds nothing that cannot be made again, and
 * leaves when its parent does.
 */
import { writeFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { peakMemory } from './memory';
import type { GraphTensor, SessionOptions } from './contract';
import type { ChildAnswer, ChildRequest, Feed } from './messages';

let session: InferenceSession | null = null;

/**
 * The session settings, chosen by measurement on GPT-2 small (F32 and BF16, windows of 1,024, two threads):
 * - no constant folding on the CPU: a folded Cast keeps an F32 copy of every F16 or BF16 weight for good (twice the
 *   file); widening each weight when it is used costs 4 % of the time and the memory of one weight. Providers with a
 *   memory of their own fold, so that weights are widened and uploaded once.
 * - no memory pattern: it plans a second arena from the first run and doubles the activations.
 * - prepacking copies every weight; without it the file stays mapped.
 */
function ortOptions(options: SessionOptions, root: string): InferenceSession.SessionOptions {
  const isCpu = options.provider === 'cpu';
  return {
    executionProviders: isCpu ? ['cpu'] : [options.provider, 'cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableMemPattern: false,
    logSeverityLevel: 3,
    extra: {
      session: {
        model_external_initializers_file_folder_path: root,
        disable_prepacking: options.prepacking ? '0' : '1',
      },
      ...(isCpu && { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
    },
  };
}

/** Outputs of earlier runs that later ones are fed. */
const kept = new Map<string, Tensor>();

function tensorOf(feed: Feed): Tensor {
  return 'kept' in feed ? keptTensor(feed.kept) : new Tensor(feed.type, feed.data as Float32Array, feed.dims);
}

function keptTensor(name: string): Tensor {
  const tensor = kept.get(name);
  if (!tensor) throw new Error(`nothing was kept as ${name}`);
  return tensor;
}

/** A copy of its own: a view of ONNX Runtime's memory must not cross the door. */
const valueOf = (tensor: Tensor): GraphTensor => ({ type: tensor.type, data: (tensor.data as Float32Array).slice(), dims: tensor.dims }) as GraphTensor;

async function answer(request: ChildRequest): Promise<ChildAnswer> {
  const { id } = request;
  if (request.kind === 'open') {
    session = await InferenceSession.create(request.graph, ortOptions(request.options, request.root));
    return { kind: 'opened', id, outputs: session.outputNames };
  }
  if (!session) return { kind: 'failed', id, detail: 'no session is open' };
  if (request.kind === 'save') {
    const { data } = keptTensor(request.kept), values = data as Float32Array;
    writeFileSync(request.file, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return { kind: 'saved', id, byteLength: values.byteLength };
  }
  const feeds = Object.fromEntries(request.feeds.map((feed) => [feed.name, tensorOf(feed)]));
  const from = performance.now();
  const fetch = request.fetch ?? session.outputNames.filter((name) => !request.keep.includes(name));
  const results = await session.run(feeds, [...new Set([...fetch, ...request.keep])]);
  const ms = performance.now() - from;
  const outputs = Object.fromEntries(fetch.map((name) => [name, valueOf(results[name])]));
  for (const [name, tensor] of Object.entries(results)) {
    if (!request.keep.includes(name)) tensor.dispose();
    else {
      kept.get(name)?.dispose();
      kept.set(name, tensor);
    }
  }
  return { kind: 'ran', id, outputs, ms, peakBytes: peakMemory() };
}

/** Nobody may be listening any more. */
function reply(message: ChildAnswer): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

process.on('message', (request: ChildRequest) => {
  answer(request).then(reply, (error: unknown) => reply({ kind: 'failed', id: request.id, detail: error instanceof Error ? error.message : String(error) }));
});

// The channel closes when the parent ends, however it ends.
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group; the parent decides what a cancel means.
process.on('SIGINT', () => {});
