import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { CheckpointError } from '../errors';
import type { ModelGraph } from '../graph/contract';
import { distFolder } from '../paths';
import type { Session, SessionOptions, WindowBatch } from './contract';
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

class ChildSession implements Session {
  private child: Promise<Child> | null = null;
  private tail: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly graph: ModelGraph, private readonly options: SessionOptions, private readonly root: string) {}

  get provider() {
    return this.options.provider;
  }

  /** The child with the session open in it; made again when the last one is gone. */
  open(): Promise<Child> {
    this.child ??= this.start();
    return this.child;
  }

  private async start(): Promise<Child> {
    const child = new Child();
    void child.ended.then(() => { this.child = null; });
    try {
      const answer = await child.ask({ kind: 'open', graph: this.graph.bytes, root: this.root, options: this.options });
      if (answer.kind !== 'opened') throw failed(answer);
      return child;
    } catch (error) {
      await child.close();
      throw error;
    }
  }

  run(batch: WindowBatch, thresholds: Float32Array | null, signal?: AbortSignal) {
    const cancelled = () => new CheckpointError('cancelled', {}, '');
    if (signal?.aborted) return Promise.reject(cancelled());
    if (this.closed) return Promise.reject(new CheckpointError('runtime-failed', {}, 'the session is closed'));
    const feeds = feedsOf(this.graph, batch, thresholds);
    const work = this.tail.then(async () => {
      if (signal?.aborted) throw cancelled();
      const child = await this.open();
      if (signal?.aborted) throw cancelled();
      // The caller hears of the cancel at once; the child gets a grace to finish its window.
      let timer: NodeJS.Timeout | undefined;
      const onAbort = () => { timer = setTimeout(() => child.kill(), CANCEL_GRACE_MS); };
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        const answer = await child.ask({ kind: 'run', feeds });
        if (answer.kind !== 'ran') throw failed(answer);
        return { losses: answer.outputs.losses, logits: answer.outputs.logits, ms: answer.ms };
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        if (child.dead) await child.ended;
      }
    });
    this.tail = work.catch(() => {});
    if (!signal) return work;
    return new Promise<Awaited<typeof work>>((resolve, reject) => {
      const onAbort = () => reject(cancelled());
      signal.addEventListener('abort', onAbort, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    const child = await this.child?.catch(() => null);
    await child?.close();
  }
}

function feedsOf(graph: ModelGraph, batch: WindowBatch, thresholds: Float32Array | null): readonly Feed[] {
  const wanted = graph.thresholdInputs.length;
  if (thresholds && thresholds.length !== wanted) throw new CheckpointError('internal', {}, `${thresholds.length} thresholds for ${wanted} inputs`);
  const scored = batch.targets.length / batch.batch;
  const dims = [batch.batch, scored];
  return [
    { name: 'input_ids', type: 'int64', data: batch.inputIds, dims: [batch.batch, batch.length] },
    { name: 'positions', type: 'int64', data: batch.positions, dims },
    { name: 'targets', type: 'int64', data: batch.targets, dims },
    // Without thresholds nothing is masked: no magnitude is at most -1.
    ...graph.thresholdInputs.map((name, i): Feed => ({ name, type: 'float32', data: Float32Array.of(thresholds ? thresholds[i] : -1), dims: [] })),
  ];
}

/**
 * Opens the graph in a child process of its own.
 *
 * @throws CheckpointError `runtime-failed` when ONNX Runtime refuses the graph, `child-died` with the signal or exit code
 */
export async function openSession(graph: ModelGraph, options: SessionOptions): Promise<Session> {
  const session = new ChildSession(graph, options, graph.root);
  await session.open();
  return session;
}
