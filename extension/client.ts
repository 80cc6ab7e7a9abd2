/** The extension's end of the LSP server: started on demand, started again when it dies, every call ends. */
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import type { EditorEvent, EditorEvents, EditorMethod, Failure, Params, Result } from '../server/protocol/editor';
import type { PruneJson } from '../server/protocol/verbs';
import { CallFailure } from '../server/rpc/ipc';
import type { PreviewParams } from '../server/rpc/preview';
import { describeExit, RestartPolicy } from '../server/rpc/restartPolicy';
import { readSettings } from './settings';

export type PushedEvent = { [E in EditorEvent]: { event: E; payload: EditorEvents[E] } }[EditorEvent];
export interface ServerState { readonly state: 'stopped' | 'running'; readonly detail: string }
type Answer = { ok: true; result: unknown } | { ok: false; failure: Failure };

const SELECTOR = [{ scheme: 'file', language: 'yaml' }, { scheme: 'file', pattern: '**/*.winnow.{yaml,yml}' }, { scheme: 'file', pattern: '**/config.json' }];
/** From the polite end to the kill. */
const STOP_MS = 2_000;

/** The client of one window; starts nothing before the first call. */
export class WinnowClient implements vscode.Disposable {
  private readonly pushed = new vscode.EventEmitter<PushedEvent>();
  private readonly changed = new vscode.EventEmitter<ServerState>();
  readonly onEvent = this.pushed.event;
  readonly onState = this.changed.event;
  private client: LanguageClient | null = null;
  private child: ChildProcess | null = null;
  private starting: Promise<LanguageClient> | null = null;
  private stoppedBecause: string | null = null;
  private startedMs = 0;
  private closing = false;
  /** Counts stops: a start that was under way when one came gives up. */
  private generation = 0;
  private readonly policy = new RestartPolicy();
  private readonly pending = new Set<(error: CallFailure) => void>();

  constructor(private readonly context: vscode.ExtensionContext, readonly log: vscode.LogOutputChannel) {}

  get running(): boolean { return this.client !== null; }
  get pid(): number | undefined { return this.child?.pid; }

  /** @throws CallFailure with a code and a sentence; `cancelled` at once when the signal fires; `server-stopped` when the server goes */
  call<M extends EditorMethod>(method: M, params: Params<M>, signal?: AbortSignal): Promise<Result<M>> {
    return this.request(`winnow/${method}`, params, signal) as Promise<Result<M>>;
  }

  /** What a pruning would change; nothing is written. @throws CallFailure */
  previewPrune(params: PreviewParams, signal?: AbortSignal): Promise<PruneJson> { return this.request('winnow/previewPrune', params, signal) as Promise<PruneJson>; }

  /** The path of a job's log. */
  async jobLog(id: string): Promise<string> { return (await this.bare<{ path: string }>('winnow/jobLog', { id })).path; }
  async enginePid(): Promise<number | null> { return (await this.bare<{ pid: number | null }>('winnow/enginePid', {})).pid; }

  /** Starts the server when it does not run. @throws CallFailure `server-stopped` */
  ensure(): Promise<LanguageClient> {
    if (this.stoppedBecause !== null) return Promise.reject(new CallFailure('server-stopped', `${this.stoppedBecause} Run “Winnow: Restart Server”.`));
    if (this.starting) return this.starting;
    const mine: Promise<LanguageClient> = this.start().catch((error: unknown) => {
      if (this.starting === mine) this.starting = null; // a death has its own restart under way by now
      throw new CallFailure('server-stopped', `The Winnow server could not start: ${error instanceof Error ? error.message : String(error)}`);
    });
    return (this.starting = mine);
  }

  /** By a person's wish: everything anew. */
  async restart(): Promise<void> {
    const before = this.running;
    await this.stop('The server was restarted.');
    this.policy.reset();
    this.stoppedBecause = null;
    if (before) this.changed.fire({ state: 'stopped', detail: 'The server is being restarted.' });
    await this.ensure();
    this.changed.fire({ state: 'running', detail: 'The server is running again.' });
  }

  async stop(sentence = 'The server is stopping.'): Promise<void> {
    const { client, child } = this;
    this.generation++;
    this.client = this.child = this.starting = null;
    this.endAll(sentence);
    if (!child) return;
    if (!client) { child.kill(); return; }
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    try { await client.stop(STOP_MS); } catch { /* it is gone, or it is killed */ } finally { clearTimeout(killer); }
    child.kill();
  }

  dispose(): void {
    this.closing = true;
    void this.stop();
    this.pushed.dispose();
    this.changed.dispose();
  }

  private async bare<T>(name: string, params: object): Promise<T> {
    const client = await this.ensure();
    return client.sendRequest<T>(name, params);
  }

  private async request(name: string, params: unknown, signal?: AbortSignal): Promise<unknown> {
    if (signal?.aborted) throw new CallFailure('cancelled', 'Cancelled.');
    const client = await this.ensure();
    const cancel = new vscode.CancellationTokenSource();
    return await new Promise((resolve, reject) => {
      const fail = (error: CallFailure): void => { done(); reject(error); };
      const onAbort = (): void => { cancel.cancel(); fail(new CallFailure('cancelled', 'Cancelled.')); };
      const done = (): void => { this.pending.delete(fail); signal?.removeEventListener('abort', onAbort); };
      this.pending.add(fail);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted) { onAbort(); return; }
      client.sendRequest<Answer>(name, params, cancel.token).then(
        (answer) => { done(); if (answer.ok) resolve(answer.result); else reject(new CallFailure(answer.failure.code, answer.failure.sentence)); },
        (error: unknown) => fail(new CallFailure(signal?.aborted ? 'cancelled' : 'server-stopped', error instanceof Error ? error.message : String(error))),
      );
    });
  }

  private async start(): Promise<LanguageClient> {
    const entry = path.join(this.context.extensionPath, 'dist', 'server.js');
    const { generation } = this;
    let started: ChildProcess | null = null;
    // Loaded with the first start: whoever opens some JSON file does not wait for it.
    const { CloseAction, ErrorAction, IPCMessageReader, IPCMessageWriter, LanguageClient, RevealOutputChannelOn } = await import('vscode-languageclient/node');
    this.stillWanted(generation);
    const client = new LanguageClient('winnow', 'Winnow', () => {
      const child = started = fork(entry, [], { env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
      for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => this.log.warn(`server: ${text.trimEnd()}`));
      this.child = child;
      this.startedMs = Date.now();
      child.on('exit', (code, signal) => { if (this.child === child) this.died(code, signal); });
      return Promise.resolve({ reader: new IPCMessageReader(child), writer: new IPCMessageWriter(child) });
    }, {
      documentSelector: SELECTOR, outputChannel: this.log, revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: { ...readSettings(), storage: this.context.globalStorageUri.fsPath },
      // This class restarts the server itself: it knows the exit signal, and the calls that were with it.
      errorHandler: { error: () => ({ action: ErrorAction.Continue, handled: true }), closed: () => ({ action: CloseAction.DoNotRestart, handled: true }) },
      initializationFailedHandler: () => false,
    });
    client.onNotification('winnow/event', (pushed: PushedEvent) => {
      if (pushed.event === 'engineState' && pushed.payload.state === 'restarting') this.tell(pushed.payload.detail);
      if (pushed.event === 'engineState' && pushed.payload.state === 'stopped') this.offerRestart(pushed.payload.detail, () => this.bare('winnow/restartEngine', {}));
      this.pushed.fire(pushed);
    });
    const early = new Promise<never>((_, reject) => { setImmediate(() => started?.once('exit', (code, signal) => reject(new Error(`it ${describeExit(code, signal)}`)))); });
    early.catch(() => { /* the race below is what counts */ });
    await Promise.race([client.start(), early]);
    this.stillWanted(generation);
    this.client = client;
    this.log.info(`The server runs as process ${this.child?.pid ?? '?'}.`);
    return client;
  }

  private stillWanted(generation: number): void {
    if (generation !== this.generation) throw new Error('it was stopped while it started');
  }

  private died(code: number | null, signal: string | null): void {
    const what = `The Winnow server ${describeExit(code, signal)}.`;
    const old = this.client;
    this.client = this.child = this.starting = null;
    void old?.dispose().catch(() => { /* it is gone already */ });
    if (this.closing) return;
    this.log.error(what);
    const delayMs = this.policy.next(Date.now() - this.startedMs);
    if (delayMs === null) this.stoppedBecause = what;
    else {
      // Calls that come meanwhile wait for this start.
      const { generation } = this;
      const again = new Promise<void>((resolve) => { setTimeout(resolve, delayMs); }).then(() => { this.stillWanted(generation); return this.start(); });
      const mine: Promise<LanguageClient> = again.catch((error: unknown) => {
        if (this.starting === mine) this.starting = null;
        throw new CallFailure('server-stopped', error instanceof Error ? error.message : String(error));
      });
      this.starting = mine;
      mine.then(() => this.changed.fire({ state: 'running', detail: 'The server is running again.' }), () => { /* its own exit was told of */ });
    }
    this.endAll(what);
    this.changed.fire({ state: 'stopped', detail: delayMs === null ? `${what} It has been restarted too often.` : `${what} It starts again ${delayMs === 0 ? 'now' : `in ${delayMs / 1000} s`}.` });
    if (delayMs !== null) this.tell(`${what} It has been started again.`);
    else this.offerRestart(`${what} It has been restarted too often.`, () => this.restart());
  }

  /** Says what happened to a process; the views come back by themselves. */
  private tell(sentence: string): void {
    void vscode.window.showWarningMessage(sentence, 'Show Log').then((choice) => { if (choice) this.log.show(); });
  }

  /** A process that stays stopped until a person starts it. */
  private offerRestart(sentence: string, restart: () => Promise<unknown>): void {
    void vscode.window.showErrorMessage(sentence, 'Restart', 'Show Log').then((choice) => {
      if (choice === 'Show Log') this.log.show();
      if (choice === 'Restart') restart().catch((error: unknown) => vscode.window.showErrorMessage(error instanceof CallFailure ? error.sentence : String(error)));
    });
  }

  private endAll(sentence: string): void {
    for (const fail of [...this.pending]) fail(new CallFailure('server-stopped', sentence));
  }
}
