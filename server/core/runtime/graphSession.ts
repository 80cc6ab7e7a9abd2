import { CheckpointError, throwIfCancelled } from '../errors';
import { CANCEL_GRACE_MS, Child } from './child';
import type { Request } from './child';
import type { GraphSession, SessionOptions } from './contract';
import type { ChildAnswer, Feed } from './messages';

type Feeds = Parameters<GraphSession['run']>[0];
type RunOptions = NonNullable<Parameters<GraphSession['run']>[1]>;
type Results = Awaited<ReturnType<GraphSession['run']>>;

function failed(answer: ChildAnswer): CheckpointError {
  return new CheckpointError('runtime-failed', {}, answer.kind === 'failed' ? answer.detail : `unexpected answer ${answer.kind}`);
}

const cancelled = () => new CheckpointError('cancelled', {}, '');

class ChildGraphSession implements GraphSession {
  /** The process there is, whether or not its session is open yet. */
  private process: Child | null = null;
  private opened: Promise<Child> | null = null;
  private tail: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly graph: Uint8Array, private readonly root: string, private readonly options: SessionOptions) {}

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
      const answer = await child.ask({ kind: 'open', graph: this.graph, root: this.root, options: this.options });
      if (answer.kind !== 'opened') throw failed(answer);
      return child;
    } catch (error) {
      await child.close();
      throw error;
    }
  }

  run(feeds: Feeds, options: RunOptions = {}, signal?: AbortSignal): Promise<Results> {
    if (signal?.aborted) return Promise.reject(cancelled());
    if (this.closed) return Promise.reject(new CheckpointError('runtime-failed', {}, 'the session is closed'));
    const request = { kind: 'run', feeds: Object.entries(feeds).map(([name, value]): Feed => ({ name, ...value })), fetch: options.fetch ?? null, keep: options.keep ?? [] } as const;
    const work = this.tail.then(() => this.runNow(request, signal));
    this.tail = work.catch(() => {});
    if (!signal) return work;
    // The caller hears of the cancel at once, whatever the child is doing.
    return new Promise<Results>((resolve, reject) => {
      const onAbort = () => reject(cancelled());
      signal.addEventListener('abort', onAbort, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  private async runNow(request: Request, signal: AbortSignal | undefined): Promise<Results> {
    throwIfCancelled(signal);
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => { timer = setTimeout(() => this.process?.kill(), CANCEL_GRACE_MS); };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const child = await this.open();
      throwIfCancelled(signal);
      const answer = await child.ask(request);
      if (answer.kind !== 'ran') throw failed(answer);
      return { outputs: answer.outputs, ms: answer.ms, peakBytes: answer.peakBytes };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      // The next request must not meet a child that is already dead.
      if (this.process?.dead) await this.process.ended;
    }
  }

  save(kept: string, file: string): Promise<number> {
    const work = this.tail.then(async () => {
      const answer = await (await this.open()).ask({ kind: 'save', kept, file });
      if (answer.kind !== 'saved') throw failed(answer);
      return answer.byteLength;
    });
    this.tail = work.catch(() => {});
    return work;
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.process?.close();
  }
}

/**
 * Opens a graph (a serialised ModelProto; `root` is what its external locations are relative to) in a child process of its own. A cancel while it opens ends the child.
 *
 * @throws CheckpointError `runtime-failed` when ONNX Runtime refuses the graph, `child-died` with the signal or exit code
 */
export async function openGraphSession(bytes: Uint8Array, root: string, options: Pick<SessionOptions, 'provider' | 'threads'> & Partial<SessionOptions>, signal?: AbortSignal): Promise<GraphSession> {
  throwIfCancelled(signal);
  const session = new ChildGraphSession(bytes, root, { prepacking: false, ...options });
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
