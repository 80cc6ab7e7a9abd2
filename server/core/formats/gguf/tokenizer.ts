import type { Checkpoint, GeneratedFile, TokenizerSource } from '../contract';
export function readGgufTokenizer(_: Checkpoint): TokenizerSource | null { return null; }
export function ggufSidecars(_: Checkpoint): readonly GeneratedFile[] { return []; }
