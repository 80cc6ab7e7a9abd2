import { existsSync } from 'node:fs';
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

// Debian's chromium brings SwiftShader, a GPU in software, and the Vulkan loader: slow, but WebGPU's real code path.
const chromium = '/usr/lib/chromium';
const software = { VK_ICD_FILENAMES: `${chromium}/vk_swiftshader_icd.json`, XDG_RUNTIME_DIR: '/tmp', LD_LIBRARY_PATH: chromium };
/** False, or why there is no WebGPU here. */
export const webgpuSkip = existsSync(software.VK_ICD_FILENAMES) ? false : `SKIPPED: WebGPU needs ${software.VK_ICD_FILENAMES} (Debian's chromium)`;

/** Runs `work` in an environment whose children find the GPU in software. */
export async function underSwiftShader(work: () => Promise<void>): Promise<void> {
  const before = { ...process.env };
  Object.assign(process.env, software);
  try {
    await work();
  } finally {
    for (const key of Object.keys(software)) delete process.env[key];
    Object.assign(process.env, before);
  }
}
