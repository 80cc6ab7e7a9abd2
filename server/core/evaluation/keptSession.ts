import type { Problem } from '../errors';
import type { ModelGraph } from '../graph/contract';
import type { Job } from '../job';
import type { Provider, Session } from '../runtime/contract';
import { onProvider, type Settled } from '../runtime/providers';
import { openSession } from '../runtime/session';

/** The largest weights that are copied for speed. */
const PREPACKED_BYTES = 2 ** 30;

/**
 * Whether ONNX Runtime may lay the weights out anew for its matrix products: a few percent faster, and a copy of them all. By the model's size
 * alone, never by what memory happens to be free: the last bits of a loss depend on it, and two runs that are compared must be alike. Weights
 * that are widened when they are used are not laid out anew.
 */
export const isPrepacked = (graph: ModelGraph): boolean => graph.foldedBytes === 0 && graph.weightBytes <= PREPACKED_BYTES;

/** One session at a time, which serves as long as graph and provider stay the same. */
export interface KeptSession {
  /**
   * Runs `work` in a session of the graph on the provider asked for, or on what `auto` comes to.
   *
   * @returns its answer, and why it was not a faster provider where `auto` had to pass one over
   */
  use<T>(graph: ModelGraph, wanted: 'auto' | Provider, threads: number, work: (session: Session) => Job<T>, signal?: AbortSignal): Job<{ readonly result: T; readonly remark: Problem | null }>;
  close(): Promise<void>;
}

export function keepSession(): KeptSession {
  let open: { readonly graph: ModelGraph; readonly session: Session } | null = null;
  /** What was found for a wish is not looked for again. */
  const settled = new Map<'auto' | Provider, Settled>();
  const close = async (): Promise<void> => {
    const session = open?.session;
    open = null;
    await session?.close();
  };
  return {
    close,
    async *use(graph, wanted, threads, work, signal) {
      const before = settled.get(wanted);
      const { provider, remark, result } = yield* onProvider(before?.provider ?? wanted, async function* (provider) {
        if (open !== null && (open.session.provider !== provider || Buffer.compare(open.graph.bytes, graph.bytes) !== 0)) await close();
        open ??= { graph, session: await openSession(graph, { provider, threads, prepacking: isPrepacked(graph) }, signal) };
        return yield* work(open.session);
      });
      settled.set(wanted, { provider, remark: before ? before.remark : remark });
      return { result, remark: before ? before.remark : remark };
    },
  };
}
