/**
 * The ONNX child: owns one session and runs one window a request. It holds nothing that cannot be made again, and
 * leaves when its parent does.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { SessionOptions } from './contract';
import type { ChildAnswer, ChildRequest, Feed } from './messages';

let session: InferenceSession | null = null;

function ortOptions(options: SessionOptions, root: string): InferenceSession.SessionOptions {
  return {
    executionProviders: options.provider === 'cpu' ? ['cpu'] : [options.provider, 'cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    extra: {
      session: {
        model_external_initializers_file_folder_path: root,
        disable_prepacking: options.prepacking ? '0' : '1',
      },
    },
  };
}

const tensorOf = (feed: Feed): Tensor =>
  feed.type === 'int64' ? new Tensor('int64', feed.data as BigInt64Array, feed.dims) : new Tensor('float32', feed.data as Float32Array, feed.dims);

async function answer(request: ChildRequest): Promise<ChildAnswer> {
  const { id } = request;
  if (request.kind === 'open') {
    session = await InferenceSession.create(request.graph, ortOptions(request.options, request.root));
    return { kind: 'opened', id, outputs: session.outputNames };
  }
  if (!session) return { kind: 'failed', id, detail: 'no session is open' };
  const feeds = Object.fromEntries(request.feeds.map((feed) => [feed.name, tensorOf(feed)]));
  const from = performance.now();
  const results = await session.run(feeds);
  const ms = performance.now() - from;
  // A copy of its own: a view of ONNX Runtime's memory must not cross the door.
  const outputs = Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, Float32Array.from(tensor.data as Float32Array)]));
  for (const tensor of Object.values(results)) tensor.dispose();
  return { kind: 'ran', id, outputs, ms };
}

process.on('message', (request: ChildRequest) => {
  answer(request).then(
    (reply) => process.send?.(reply),
    (error: unknown) => process.send?.({ kind: 'failed', id: request.id, detail: error instanceof Error ? error.message : String(error) } satisfies ChildAnswer),
  );
});

// The channel closes when the parent ends, however it ends. A signal to the parent's group must not stop a window halfway
// with a core dump of its own, so leaving is quiet.
process.on('disconnect', () => process.exit(0));
