/** Settings of the engine child, handed over as JSON in one environment variable. Loads nothing of the core. */
import { availableParallelism } from 'node:os';
import type { IoMode } from '../core/bytes/byteSource';

export interface EngineSettings { readonly io: IoMode; readonly threads: number; readonly dataFolder: string | null }

/** The environment variable that carries the settings. */
export const ENGINE_VARIABLE = 'WINNOW_ENGINE';
const MAX_THREADS = 256;

/** `threads` 0 (and anything else that is no count) means one a processor. */
export function readSettings(text: string | undefined): EngineSettings {
  const given = JSON.parse(text ?? '{}') as Partial<EngineSettings>;
  const threads = typeof given.threads === 'number' && given.threads >= 1 ? Math.min(MAX_THREADS, Math.floor(given.threads)) : availableParallelism();
  return { io: given.io === 'mmap' || given.io === 'pread' ? given.io : 'auto', threads, dataFolder: given.dataFolder || null };
}
