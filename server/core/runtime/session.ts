import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { ModelGraph } from '../graph/contract';
import { distFolder } from '../paths';
import type { Session, SessionAnswer, SessionOptions, WindowBatch } from './contract';
import type { ChildAnswer, ChildRequest, Feed } from './messages';

/** How long a child may stay inside a window after a cancel before it is killed. */
const CANCEL_GRACE_MS = 500;

type Request = ChildRequest extends infer R ? (R extends ChildRequest ? Omit<R, 'id'> : never) : never;

/** One ONNX child and the requests it owes an answer. */
class Child {
  private readonly process: ChildProcess;
  private readonly waiting = new Map<number, { resolve: (answer: ChildAnswer) => void; reject: (error: Error) => void }>();
  private next = 0;
  private died: CheckpointError | null = null;
  readonly ended: Promise<void>;

  constructor() {
    this.process = fork(path.join(distFolder(), 'onnxChild.js'), {
      serialization: 'advanced',
      // execArgv is empty so that a debugger's or test runner's flags do not reach the child.
      execArgv: [],
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1', NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let said = '';
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2000); });
    this.process.on('message', (answer: ChildAnswer) => {
      this.waiting.get(answer.id)?.resolve(answer);
      this.waiting.delete(answer.id);
    });
    this.process.on('error', (error) => this.fail(`the runtime child did not start: ${error.message}`));
    this.ended = new Promise((resolve) => {
      this.process.once('exit', (code, signal) => {
        this.fail(`${signal ? `signal ${signal}` : `exit code ${code}`}${said ? `: ${said.trim().split('\n').at(-1)}` : ''}`);
        resolve();
      });
      this.process.once('error', () => resolve());
    });
  }

  get dead(): boolean {
    return this.died !== null;
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  private fail(detail: string): void {
    this.died ??= new CheckpointError('child-died', {}, detail);
    for (const request of this.waiting.values()) request.reject(this.died);
    this.waiting.clear();
  }

  ask(request: Request): Promise<ChildAnswer> {
    if (this.died) return Promise.reject(this.died);
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.process.send({ ...request, id } as ChildRequest, (error) => { if (error) this.fail(error.message); });
    });
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }

  /** Ends the child: it leaves when its channel closes; one that is inside a window is killed. */
  async close(): Promise<void> {
    if (this.process.connected) this.process.disconnect();
    const timer = setTimeout(() => this.kill(), CANCEL_GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

function failed(answer: ChildAnswer): CheckpointError {
  return new CheckpointError('runtime-failed', {}, answer.kind === 'failed' ? answer.detail : `unexpected answer ${answer.kind}`);
}

const cancelled = () => new CheckpointError('cancelled', {}, '');

class ChildSession implements Session {
  /** The process there is, whether or not its session is open yet. */
  private process: Child | null = null;
  private opened: Promise<Child> | null = null;
  private tail: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly graph: ModelGraph, private readonly options: SessionOptions) {}

  get provider() {
    return this.options.provider;
  }

  /** Of the child, while there is one. */
  get pid(): number | undefined {
    return this.process?.pid;
  }

  /** The child with the session open in it; made again when the last one is gone. */
  open(): Promise<Child> {
    this.opened ??= this.start();
    return this.opened;
  }

  private async start(): Promise<Child> {
    const child = new Child();
    this.process = child;
    void child.ended.then(() => {
      this.process = null;
      this.opened = null;
    });
    try {
      const graph = this.options.provider === 'cpu' ? this.graph.bytes : this.graph.portableBytes?.() ?? this.graph.bytes;
      const answer = await child.ask({ kind: 'open', graph, root: this.graph.root, options: this.options });
      if (answer.kind !== 'opened') throw failed(answer);
      return child;
    } catch (error) {
      await child.close();
      throw error;
    }
  }

  run(batch: WindowBatch, thresholds: Float32Array | null, signal?: AbortSignal) {
    if (signal?.aborted) return Promise.reject(cancelled());
    if (this.closed) return Promise.reject(new CheckpointError('runtime-failed', {}, 'the session is closed'));
    const feeds = feedsOf(this.graph, batch, thresholds);
    const work = this.tail.then(() => this.runNow(feeds, signal));
    this.tail = work.catch(() => {});
    if (!signal) return work;
    // The caller hears of the cancel at once, whatever the child is doing.
    return new Promise<Awaited<typeof work>>((resolve, reject) => {
      const onAbort = () => reject(cancelled());
      signal.addEventListener('abort', onAbort, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  private async runNow(feeds: readonly Feed[], signal: AbortSignal | undefined): Promise<SessionAnswer> {
    throwIfCancelled(signal);
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => { timer = setTimeout(() => this.process?.kill(), CANCEL_GRACE_MS); };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const child = await this.open();
      throwIfCancelled(signal);
      const answer = await child.ask({ kind: 'run', feeds });
      if (answer.kind !== 'ran') throw failed(answer);
      const { losses, hits, logits, reference_losses: referenceLosses, divergence, same_top: sameTop } = answer.outputs;
      return { losses, hits, logits, ms: answer.ms, peakBytes: answer.peakBytes, ...(divergence && { compared: { referenceLosses, divergence, sameTop } }) };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      // The next request must not meet a child that is already dead.
      if (this.process?.dead) await this.process.ended;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.process?.close();
  }
}

function feedsOf(graph: ModelGraph, batch: WindowBatch, thresholds: Float32Array | null): readonly Feed[] {
  const wanted = graph.thresholdInputs.length;
  if (thresholds && thresholds.length !== wanted) throw new CheckpointError('internal', {}, `${thresholds.length} thresholds for ${wanted} inputs`);
  const scored = batch.targets.length / batch.batch;
  const dims = [batch.batch, scored];
  if ((graph.takesEncoder ?? false) !== (batch.encoder !== undefined)) throw new CheckpointError('internal', {}, batch.encoder ? 'the graph has no encoder' : 'nothing for the encoder');
  return [
    ...(batch.encoder ? [{ name: 'encoder_ids', type: 'int64', data: batch.encoder.ids, dims: [batch.batch, batch.encoder.length] } as const] : []),
    { name: 'input_ids', type: 'int64', data: batch.inputIds, dims: [batch.batch, batch.length] },
    { name: 'positions', type: 'int64', data: batch.positions, dims },
    { name: 'targets', type: 'int64', data: batch.targets, dims },
    // Without thresholds nothing is masked: no magnitude is at most -1.
    ...graph.thresholdInputs.map((name, i): Feed => ({ name, type: 'float32', data: Float32Array.of(thresholds ? thresholds[i] : -1), dims: [] })),
  ];
}

/**
 * Opens the graph in a child process of its own. A cancel while it opens ends the child.
 *
 * @throws CheckpointError `runtime-failed` when ONNX Runtime refuses the graph, `child-died` with the signal or exit code
 */
export async function openSession(graph: ModelGraph, options: SessionOptions, signal?: AbortSignal): Promise<Session> {
  throwIfCancelled(signal);
  const session = new ChildSession(graph, options);
  const opened = session.open();
  const cancel = () => { void session.close(); };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    await opened;
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  return session;
}
