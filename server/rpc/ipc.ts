/** Messages between the LSP server and the engine child, over Node's own IPC channel (JSON; every number is encoded before). */
import { setMaxListeners } from 'node:events';
import type { Problem } from '../core/errors';
import type { EditorEvent, EditorEvents, EditorMethod, EditorMethods, Failure } from '../protocol/editor';
import { asCheckpointError } from './failure';

export type ToEngine =
  | { readonly type: 'call'; readonly id: number; readonly method: EditorMethod; readonly params: unknown }
  | { readonly type: 'cancel'; readonly id: number };

export type FromEngine =
  | { readonly type: 'result'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly failure: Failure }
  | { readonly type: 'event'; readonly event: EditorEvent; readonly payload: unknown };

/** A failure as an Error: what `call` rejects with on every side. */
export class CallFailure extends Error implements Failure {
  constructor(readonly code: string, readonly sentence: string) {
    super(`${code}: ${sentence}`);
    this.name = 'CallFailure';
  }
}

/** How the edge turns a problem into the sentence a person reads. */
export type SentenceOf = (problem: Problem) => string;

/** Any thrown thing as a failure: a code and a sentence, never a stack trace. */
export function failureOf(error: unknown, sentenceOf: SentenceOf): Failure {
  if (error instanceof CallFailure) return { code: error.code, sentence: error.sentence };
  const known = asCheckpointError(error);
  return { code: known.code, sentence: known.code === 'cancelled' ? 'Cancelled.' : sentenceOf(known) };
}

export type Handler<M extends EditorMethod> = (params: EditorMethods[M]['params'], signal: AbortSignal) => Promise<EditorMethods[M]['result']> | EditorMethods[M]['result'];
export type Handlers = { readonly [M in EditorMethod]?: Handler<M> };
export type Emit = <E extends EditorEvent>(event: E, payload: EditorEvents[E]) => void;

/**
 * Serves calls: each one ends with exactly one result or failure. A cancelled call is answered `cancelled` at once,
 * whether or not its work has seen the signal yet.
 *
 * @param send hands one message to the other side; must not throw
 * @returns what to call with each message that arrives
 */
export function serveCalls(handlers: Handlers, send: (message: FromEngine) => void, sentenceOf: SentenceOf): (message: ToEngine) => void {
  const running = new Map<number, AbortController>();
  return (message) => {
    if (message.type === 'cancel') {
      running.get(message.id)?.abort();
      return;
    }
    const { id, method, params } = message;
    const controller = new AbortController();
    // One call may wait for hundreds of slices; that is not a leak.
    setMaxListeners(0, controller.signal);
    running.set(id, controller);
    const end = (answer: FromEngine): void => { if (running.delete(id)) send(answer); };
    controller.signal.addEventListener('abort', () => end({ type: 'failure', id, failure: { code: 'cancelled', sentence: 'Cancelled.' } }), { once: true });
    const handler = handlers[method] as ((params: unknown, signal: AbortSignal) => unknown) | undefined;
    void (async () => {
      try {
        if (!handler) throw new CallFailure('usage', `There is no method ${String(method)} here.`);
        end({ type: 'result', id, result: await handler(params, controller.signal) });
      } catch (error) {
        end({ type: 'failure', id, failure: failureOf(error, sentenceOf) });
      }
    })();
  };
}
