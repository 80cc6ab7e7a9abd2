import { GraphBuilder } from '../graph/builder';
import type { GraphSession, GraphTensor, Provider } from '../runtime/contract';
import { openGraphSession } from '../runtime/graphSession';

/** Execution providers whose matrix products exist in F64; the others multiply in F32. */
const inDoubles: ReadonlySet<Provider> = new Set(['cpu', 'cuda']);

/** qᵀ rows, where the rows grow block by block and stay with the execution provider's process. */
export interface Products {
  /** Forgets the rows. The next ones have `width` columns. */
  begin(width: number): void;
  /**
   * Appends rows, then answers qᵀ rows of all rows since `begin`.
   *
   * @param added (n, width)
   * @param q (all rows, m)
   * @returns (m, width)
   */
  next(added: Float64Array, q: Float64Array, m: number, signal?: AbortSignal): Promise<Float64Array>;
  close(): Promise<void>;
}

/** rows = [kept; added], product = qᵀ rows. Sizes are free, so that one session does for every matrix. */
function productGraph(type: 'F32' | 'F64'): Uint8Array {
  const g = new GraphBuilder('products');
  const kept = g.input('kept', type, ['before', 'width']), added = g.input('added', type, ['block', 'width']), q = g.input('q', type, ['after', 'm']);
  const rows = g.op('Concat', [kept, added], { axis: { i: 0 } });
  g.output('rows', rows, type, ['after', 'width']);
  g.output('product', g.op('Gemm', [q, rows], { transA: { i: 1 } }), type, ['m', 'width']);
  return g.finish();
}

/**
 * Products on an execution provider. The session is opened with the first product: matrices of one block need none. Rows are sent once and a
 * message holds one block of them, whatever the matrix's size.
 */
export function openProducts(provider: Provider, threads: number): Products {
  const type = inDoubles.has(provider) ? 'F64' : 'F32';
  const tensor = (data: Float64Array, dims: readonly number[]): GraphTensor => (type === 'F64' ? { type: 'float64', data, dims } : { type: 'float32', data: Float32Array.from(data), dims });
  let session: GraphSession | null = null, width = 0, rows = 0;
  return {
    begin(columns) {
      width = columns;
      rows = 0;
    },
    async next(added, q, m, signal) {
      session ??= await openGraphSession(productGraph(type), '/', { provider, threads }, signal);
      const block = added.length / width;
      // Not every provider takes matrices without rows: one row of zeros goes ahead.
      const weights = new Float64Array(q.length + m), before = rows === 0 ? tensor(new Float64Array(width), [1, width]) : { kept: 'rows' };
      weights.set(q, m);
      rows += block;
      const { outputs } = await session.run({ kept: before, added: tensor(added, [block, width]), q: tensor(weights, [weights.length / m, m]) }, { fetch: ['product'], keep: ['rows'] }, signal);
      return Float64Array.from(outputs.product.data as Float64Array | Float32Array);
    },
    async close() {
      await session?.close();
      session = null;
    },
  };
}
