/**
 * The view's end of the wire: calls that always end, events, and faults.
 *
 * A call ends with a result, a failure, `cancelled` (its signal) or `server-stopped` (the server went). The host is reached by
 * `postMessage` only; what comes in is not trusted to match a call that was made.
 */
import { PROTOCOL_VERSION } from '../server/protocol/editor';
import type { EditorEvent, EditorEvents, EditorMethod, EditorMethods, Failure, HostMethods, HostToView, ViewToHost } from '../server/protocol/editor';

type AllMethods = EditorMethods & HostMethods;
export type ViewMethod = EditorMethod | keyof HostMethods;
export type ViewCall = <M extends ViewMethod>(method: M, params: AllMethods[M]['params'], signal?: AbortSignal) => Promise<AllMethods[M]['result']>;

/** A call that did not succeed; `sentence` is made for a person already. */
export class CallFailure extends Error {
  readonly code: string;
  readonly sentence: string;
  constructor(failure: Failure) {
    super(failure.sentence);
    this.code = failure.code;
    this.sentence = failure.sentence;
  }
}

export interface BridgeHandlers {
  welcome(message: Extract<HostToView, { type: 'welcome' }>): void;
  server(state: 'stopped' | 'running', detail: string): void;
  events: { [E in EditorEvent]?: (payload: EditorEvents[E]) => void };
}

export interface Bridge { call: ViewCall; fault(message: string): void; receive(message: HostToView): void; hello(): void; pending(): number }

/** @param post sends to the host (`acquireVsCodeApi().postMessage`) */
export function makeBridge(post: (message: ViewToHost) => void, handlers: BridgeHandlers): Bridge {
  interface Waiting { resolve(result: unknown): void; reject(error: CallFailure): void; release(): void }
  const waiting = new Map<number, Waiting>();
  let nextId = 1;

  const settle = (id: number): Waiting | undefined => {
    const call = waiting.get(id);
    waiting.delete(id);
    call?.release();
    return call;
  };
  const failAll = (failure: Failure): void => {
    for (const id of [...waiting.keys()]) settle(id)?.reject(new CallFailure(failure));
  };

  const call: ViewCall = (method, params, signal) => new Promise((resolve, reject) => {
    if (signal?.aborted) { reject(new CallFailure({ code: 'cancelled', sentence: 'Cancelled.' })); return; }
    const id = nextId;
    nextId += 1;
    const onAbort = (): void => {
      post({ type: 'cancel', id });
      settle(id)?.reject(new CallFailure({ code: 'cancelled', sentence: 'Cancelled.' }));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    waiting.set(id, { resolve: resolve as (result: unknown) => void, reject, release: () => signal?.removeEventListener('abort', onAbort) });
    post({ type: 'call', id, method, params });
  });

  const receive = (message: HostToView): void => {
    switch (message.type) {
      case 'welcome': handlers.welcome(message); break;
      case 'result': settle(message.id)?.resolve(message.result); break;
      case 'failure': settle(message.id)?.reject(new CallFailure(message.failure)); break;
      case 'server':
        if (message.state === 'stopped') failAll({ code: 'server-stopped', sentence: message.detail });
        handlers.server(message.state, message.detail);
        break;
      case 'event': dispatch(message); break;
    }
  };
  const dispatch = (message: Extract<HostToView, { type: 'event' }>): void => {
    const handler = handlers.events[message.event] as ((payload: unknown) => void) | undefined;
    handler?.(message.payload);
  };

  return {
    call,
    receive,
    fault: (message) => post({ type: 'fault', message: message.slice(0, 2000) }),
    hello: () => post({ type: 'hello', version: PROTOCOL_VERSION }),
    pending: () => waiting.size,
  };
}

/** What VS Code gives a webview; state survives a reload of the window. */
export interface ViewApi { postMessage(message: unknown): void; getState(): unknown; setState(state: unknown): void }
declare function acquireVsCodeApi(): ViewApi;

/** Connects a bridge to the window: messages in, faults and policy violations out. */
export function connect(handlers: BridgeHandlers): { bridge: Bridge; api: ViewApi } {
  const api = acquireVsCodeApi();
  const bridge = makeBridge((message) => api.postMessage(message), handlers);
  window.addEventListener('message', (event: MessageEvent<HostToView>) => {
    if (event.data && typeof event.data === 'object' && typeof event.data.type === 'string') bridge.receive(event.data);
  });
  window.addEventListener('error', (event) => bridge.fault(`error: ${event.message} at ${event.lineno}:${event.colno}`));
  window.addEventListener('unhandledrejection', (event) => {
    if (event.reason instanceof CallFailure && (event.reason.code === 'cancelled' || event.reason.code === 'server-stopped')) return;
    bridge.fault(`rejection: ${String(event.reason)}`);
  });
  document.addEventListener('securitypolicyviolation', (event) =>
    bridge.fault(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  return { bridge, api };
}
