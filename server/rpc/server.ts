/** The LSP server's shell: connection, engine child, jobs, and the language features. Routes; never computes. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { createConnection, IPCMessageReader, IPCMessageWriter, ProposedFeatures, TextDocumentSyncKind, type CancellationToken, type Connection } from 'vscode-languageserver/node';
import type { EditorEvent, EditorEvents, EditorMethod, Failure, JobJson, Params } from '../protocol/editor';
import { serveDocuments } from '../language/documents';
import { noteChild, reapOrphans } from './childFiles';
import { EngineHost, type EngineChild } from './engineHost';
import { ENGINE_VARIABLE, type EngineSettings } from './engineSettings';
import { failureOf, type FromEngine } from './ipc';
import { JobStore } from './jobs';
import { previewPrune, type PreviewParams } from './preview';
import { makeRouter, methods } from './router';
import { sentenceOf } from './sentences';

/** What the client sends with `initialize`. */
export interface ServerSettings extends EngineSettings {
  /** Folder that outlives windows: job files. */
  readonly storage: string;
}

/** How every call is answered, so that a failure keeps its code: an LSP error would be shown by the client as well. */
export type Answer = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly failure: Failure };

/** @param folder where engine.js and cli.js lie */
export function runServer(folder: string): void {
  const connection = createConnection(ProposedFeatures.all, new IPCMessageReader(process), new IPCMessageWriter(process));
  const emit = <E extends EditorEvent>(event: E, payload: EditorEvents[E]): void => { void connection.sendNotification('winnow/event', { event, payload }); };
  let settings: ServerSettings | null = null, jobs: JobStore | null = null;
  // Jobs that ended while no server looked are told of once the client listens.
  let endedMeanwhile: JobJson[] | null = [];
  const engine = new EngineHost({
    start: () => startEngine(path.join(folder, 'engine.js'), settings!, (line) => connection.console.warn(line)),
    onState: (state) => { connection.console.info(state.detail); emit('engineState', state); },
    onEvent: ({ event, payload }) => emit(event, payload as never),
  });
  const call = makeRouter((method, params, signal) => engine.call(method, params, signal), {
    startJob: (params) => jobs!.start(params),
    jobs: () => ({ jobs: jobs!.list() }),
    cancelJob: ({ id }) => jobs!.cancel(id),
    dismissJob: ({ id }) => { jobs!.dismiss(id); return {}; },
  });

  connection.onInitialize(({ initializationOptions }) => {
    settings = initializationOptions as ServerSettings;
    reapOrphans(childFolder(settings));
    jobs = new JobStore({ folder: path.join(settings.storage, 'jobs'), cli: path.join(folder, 'cli.js'), onChange: (job) => { if (endedMeanwhile) endedMeanwhile.push(job); else emit('jobChanged', { job }); } });
    return { capabilities: { textDocumentSync: TextDocumentSyncKind.Incremental, codeLensProvider: {} }, serverInfo: { name: 'winnow' } };
  });
  connection.onInitialized(() => {
    engine.warm();
    const ended = endedMeanwhile ?? [];
    endedMeanwhile = null;
    for (const job of [...ended, ...(jobs?.list() ?? []).filter(({ state }) => state === 'running')]) emit('jobChanged', { job });
  });
  for (const method of methods) serve(connection, method, call);
  connection.onRequest('winnow/restartEngine', () => { engine.restart(); return {}; });
  connection.onRequest('winnow/enginePid', () => ({ pid: engine.pid ?? null }));
  // Not for views: it lists every tensor.
  answer<PreviewParams>(connection, 'winnow/previewPrune', (params, signal) => previewPrune(path.join(folder, 'cli.js'), params, signal, (pid) => noteChild(childFolder(settings!), pid)));
  connection.onRequest('winnow/jobLog', ({ id }: { id: string }) => ({ path: jobs!.log(id) }));
  serveDocuments(connection, () => call('catalog', {}));
  const leave = (): void => { engine.close(); jobs?.close(); };
  connection.onShutdown(leave);
  process.on('exit', leave);
  process.on('disconnect', () => process.exit(0));
  connection.listen();
}

const serve = <M extends EditorMethod>(connection: Connection, method: M, call: ReturnType<typeof makeRouter>): void =>
  answer<Params<M>>(connection, `winnow/${method}`, (params, signal) => call(method, params, signal));

/** A request that can be cancelled and always ends. */
function answer<P>(connection: Connection, name: string, work: (params: P, signal: AbortSignal) => Promise<unknown>): void {
  connection.onRequest(name, async (params: P, token: CancellationToken): Promise<Answer> => {
    const controller = new AbortController();
    const subscription = token.onCancellationRequested(() => controller.abort());
    // A call that was cancelled before it was begun has a token that tells of nothing.
    if (token.isCancellationRequested) controller.abort();
    try {
      return { ok: true, result: await work(params, controller.signal) };
    } catch (error) {
      return { ok: false, failure: failureOf(error, sentenceOf) };
    } finally { subscription.dispose(); }
  });
}

const childFolder = (settings: ServerSettings): string => path.join(settings.storage, 'children');

function startEngine(entry: string, settings: ServerSettings, log: (line: string) => void): EngineChild {
  const { io, threads, dataFolder } = settings;
  const child = fork(entry, [], {
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1', [ENGINE_VARIABLE]: JSON.stringify({ io, threads, dataFolder } satisfies EngineSettings) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [],
  });
  const forget = child.pid === undefined ? () => {} : noteChild(childFolder(settings), child.pid);
  child.on('exit', forget);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => log(`engine: ${text.trimEnd()}`));
  return {
    pid: child.pid,
    // A channel that is closing refuses with an error: the exit that follows ends the call.
    send: (message) => { if (child.connected) child.send(message, () => {}); },
    onMessage: (listener) => { child.on('message', (message) => listener(message as FromEngine)); },
    onExit: (listener) => {
      child.on('exit', listener);
      child.on('error', (error) => { if (child.pid === undefined) listener(null, error.message); });
    },
    kill: () => { child.kill('SIGKILL'); },
  };
}

