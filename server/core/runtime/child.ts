import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { CheckpointError } from '../errors';
import { distFolder } from '../paths';
import type { ChildAnswer, ChildRequest } from './messages';

/** How long a child may stay inside a window after a cancel before it is killed. */
export const CANCEL_GRACE_MS = 500;

type Omitted<R> = R extends unknown ? Omit<R, 'id'> : never;
/** What is asked of a child; it is numbered on its way. */
export type Request = Omitted<ChildRequest>;

/** One ONNX child and the requests it owes an answer. */
export class Child {
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
