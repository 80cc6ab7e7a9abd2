import path from 'node:path';
import type { GraphOptions, ModelGraph } from '../../../server/core/graph/contract';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import type { Session } from '../../../server/core/runtime/contract';
import { openSession } from '../../../server/core/runtime/session';
import { smallCheckpoint } from '../graph/smallCheckpoint';

export const golden = path.resolve(import.meta.dirname, '../../golden/graph');

/** The random GPT-2 of the golden files: 2 layers, width 32, 48 positions, 61 tokens. */
export function tinyGpt2Graph(options: Partial<GraphOptions> = {}): ModelGraph {
  const config = { model_type: 'gpt2', vocab_size: 61, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 48 };
  return buildGpt2Graph(smallCheckpoint(golden, 'gpt2.safetensors', config), { masking: 'none', maskable: [], context: 48, ...options });
}

export const someIds = (length: number): number[] => Array.from({ length }, (_, i) => (i * i * 7 + i * 3 + 1) % 61);

/** Opens, hands over, closes, whatever happens. */
export async function withSession<T>(graph: ModelGraph, use: (session: Session) => Promise<T>, options: { provider?: 'cpu' | 'webgpu'; prepacking?: boolean } = {}): Promise<T> {
  const session = await openSession(graph, { provider: options.provider ?? 'cpu', threads: 1, prepacking: options.prepacking ?? false });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** The id of the child behind a session; not part of the contract, tests kill it. */
export const childPid = (session: Session): number | undefined => (session as unknown as { session: { pid: number | undefined } }).session.pid;
