/** Sends each method where it is served: jobs in the server itself, everything that reads weights in the engine child. */
import type { EditorMethod, Params, Result } from '../protocol/editor';
import { CallFailure, type Handler, type Handlers } from './ipc';

export type CallEngine = <M extends EditorMethod>(method: M, params: Params<M>, signal?: AbortSignal) => Promise<Result<M>>;

/** Every method with where it goes; the compiler sees to it that none is forgotten. */
const places: Readonly<Record<EditorMethod, 'engine' | 'server'>> = {
  inspect: 'engine', rows: 'engine', locate: 'engine', scan: 'engine', curves: 'engine', histogram: 'engine', cut: 'engine', inspectFull: 'engine', catalog: 'engine', sweepResult: 'engine', sweepTable: 'engine',
  startJob: 'server', jobs: 'server', cancelJob: 'server', dismissJob: 'server',
};
/** Every method of the protocol. */
export const methods = Object.keys(places) as readonly EditorMethod[];

/** @returns the one way in for a call; rejects with CallFailure or with what the server's own handler throws */
export function makeRouter(callEngine: CallEngine, own: Handlers): CallEngine {
  return async (method, params, signal) => {
    if (!Object.hasOwn(places, method)) throw new CallFailure('usage', `There is no method ${String(method)}.`);
    if (places[method] === 'engine') return callEngine(method, params, signal);
    const handler = own[method] as Handler<typeof method> | undefined;
    if (!handler) throw new CallFailure('usage', `${String(method)} is not served.`);
    return handler(params, signal ?? new AbortController().signal);
  };
}
