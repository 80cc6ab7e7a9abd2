/** Owns the engine child: starts it on the first call, restarts it when it dies, and ends every call that was with it. */
import type { EditorEvents, EditorMethod, Params, Result } from '../protocol/editor';
import { CallFailure, type FromEngine, type ToEngine } from './ipc';
import { describeExit, RestartPolicy } from './restartPolicy';

/** The part of a ChildProcess that is needed; tests bring their own. */
export interface EngineChild {
  readonly pid?: number;
  send(message: ToEngine): void;
  onMessage(listener: (message: FromEngine) => void): void;
  onExit(listener: (code: number | null, signal: string | null) => void): void;
  kill(): void;
}

export interface EngineHostOptions {
  readonly start: () => EngineChild;
  readonly onState: (state: EditorEvents['engineState']) => void;
  readonly onEvent: (event: FromEngine & { type: 'event' }) => void;
  readonly policy?: RestartPolicy;
  /** Milliseconds; tests bring their own clock. */
  readonly now?: () => number;
  readonly later?: (run: () => void, delayMs: number) => void;
}

/** A call that was with the engine this many times in a row when it died is not tried again. */
export const MAX_DEATHS_OF_ONE_CALL = 3;

interface Pending { readonly key: string; resolve(result: unknown): void; reject(error: Error): void; release(): void }

/** The engine child and every call that is with it; each call ends, whatever becomes of the child. */
export class EngineHost {
  private child: EngineChild | null = null;
  private startedMs = 0;
  private nextId = 1;
  private state: 'idle' | 'running' | 'restarting' | 'stopped' | 'closed' = 'idle';
  private stoppedBecause = '';
  private readonly pending = new Map<number, Pending>();
  /** Calls that arrived while a restart waits for its delay. */
  private readonly waiting: { id: number; message: ToEngine }[] = [];
  /** Deaths in a row, by method and parameters. */
  private readonly deaths = new Map<string, number>();
  private readonly policy: RestartPolicy;
  private readonly now: () => number;
  private readonly later: (run: () => void, delayMs: number) => void;

  constructor(private readonly options: EngineHostOptions) {
    this.policy = options.policy ?? new RestartPolicy();
    this.now = options.now ?? Date.now;
    this.later = options.later ?? ((run, delayMs) => { setTimeout(run, delayMs).unref(); });
  }

  get pid(): number | undefined { return this.child?.pid; }

  /** @throws CallFailure: the engine's own, `cancelled`, `server-stopped`, or `child-died` for a call that keeps ending the engine. */
  call<M extends EditorMethod>(method: M, params: Params<M>, signal?: AbortSignal): Promise<Result<M>> {
    const key = `${method} ${JSON.stringify(params)}`;
    if (signal?.aborted) return Promise.reject(new CallFailure('cancelled', 'Cancelled.'));
    if (this.state === 'stopped' || this.state === 'closed') return Promise.reject(new CallFailure('server-stopped', this.stoppedSentence()));
    if ((this.deaths.get(key) ?? 0) >= MAX_DEATHS_OF_ONE_CALL) {
      return Promise.reject(new CallFailure('child-died', `This request ended the engine ${MAX_DEATHS_OF_ONE_CALL} times in a row, so it is not tried again. Run “Winnow: Restart Server” to try once more.`));
    }
    return new Promise<Result<M>>((resolve, reject) => {
      const id = this.nextId++;
      const cancel = (): void => {
        if (!this.pending.has(id)) return;
        this.settle(id)?.reject(new CallFailure('cancelled', 'Cancelled.'));
        const queued = this.waiting.findIndex((entry) => entry.id === id);
        if (queued >= 0) this.waiting.splice(queued, 1);
        else this.child?.send({ type: 'cancel', id });
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.pending.set(id, { key, resolve: resolve as (result: unknown) => void, reject, release: () => signal?.removeEventListener('abort', cancel) });
      const message: ToEngine = { type: 'call', id, method, params };
      if (this.state === 'restarting') this.waiting.push({ id, message });
      else { if (!this.child) this.start(); this.child?.send(message); }
    });
  }

  /** Starts the engine before it is asked for anything: the first answer comes sooner. */
  warm(): void { if (this.state === 'idle') this.start(); }

  /** By a person's wish: forgets every count and starts anew. */
  restart(): void {
    if (this.state === 'closed') return;
    this.policy.reset();
    this.deaths.clear();
    const old = this.child;
    this.child = null; // its exit is expected: see onExit
    old?.kill();
    this.endAll('The engine was restarted.');
    this.start();
  }

  /** For good: the server is going. */
  close(): void {
    this.state = 'closed';
    const old = this.child;
    this.child = null;
    old?.kill();
    this.endAll('The server is stopping.');
  }

  private start(): void {
    const child = this.options.start();
    const before = this.state;
    this.child = child;
    this.startedMs = this.now();
    this.state = 'running';
    child.onMessage((message) => {
      if (child !== this.child) return;
      if (message.type === 'event') { this.options.onEvent(message); return; }
      const pending = this.settle(message.id);
      if (!pending) return;
      this.deaths.delete(pending.key);
      if (message.type === 'result') pending.resolve(message.result);
      else pending.reject(new CallFailure(message.failure.code, message.failure.sentence));
    });
    child.onExit((code, signal) => { if (child === this.child) this.died(code, signal); });
    if (before !== 'idle') this.options.onState({ state: 'running', detail: 'The engine is running again.' });
    for (const { message } of this.waiting.splice(0)) child.send(message);
  }

  private died(code: number | null, signal: string | null): void {
    this.child = null;
    const what = `The engine ${describeExit(code, signal)}`;
    const delayMs = this.policy.next(this.now() - this.startedMs);
    for (const { key } of this.pending.values()) this.deaths.set(key, (this.deaths.get(key) ?? 0) + 1);
    // The state is set before the calls end: whoever asks again at once must find the door as it now is.
    this.state = delayMs === null ? 'stopped' : 'restarting';
    this.stoppedBecause = what;
    this.options.onState(delayMs === null
      ? { state: 'stopped', detail: `${what} and has been restarted too often; choose Restart.` }
      : { state: 'restarting', detail: `${what}; it starts again ${delayMs === 0 ? 'now' : `in ${delayMs / 1000} s`}.` });
    this.endAll(`${what}.`);
    if (delayMs !== null) this.later(() => { if (this.state === 'restarting') this.start(); }, delayMs);
  }

  private endAll(sentence: string): void {
    this.waiting.length = 0;
    for (const id of [...this.pending.keys()]) this.settle(id)?.reject(new CallFailure('server-stopped', sentence));
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    if (pending) { this.pending.delete(id); pending.release(); }
    return pending;
  }

  private stoppedSentence(): string {
    return this.state === 'closed' ? 'The server is stopping.' : `${this.stoppedBecause || 'The engine stopped'} too often. Run “Winnow: Restart Server”.`;
  }
}
