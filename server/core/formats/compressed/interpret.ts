import { openSource } from '../../bytes/openSource';
import { CheckpointError } from '../../errors';
import { dtypes } from '../../tensor/dtype';
import type { TensorInfo } from '../../tensor/tensorInfo';
import type { Checkpoint, GeneratedFile } from '../contract';
import type { Packing } from './pieces';

/**
 * Weights that compressed-tensors stored as bits and kept values, under their own names and shapes: whoever reads them sees dense
 * tensors. Known by their pieces, so that a file without its config is read too.
 *
 * @throws CheckpointError `bad-encoding` where pieces do not fit each other, `unsupported-format` where they lie in several shards
 */
export function interpretCompressed(checkpoint: Checkpoint): Checkpoint {
  const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const packed = new Map<string, TensorInfo>(), pieces = new Set<string>();
  let packing: Packing | null = null;
  for (const bitmask of checkpoint.tensors) {
    const stem = /^(.+)\.bitmask$/.exec(bitmask.name)?.[1];
    const compressed = byName.get(`${stem}.compressed`), shape = byName.get(`${stem}.shape`), offsets = byName.get(`${stem}.row_offsets`);
    if (stem === undefined || bitmask.dtype !== 'U8' || !compressed || !shape) continue;
    packing ??= offsets ? 'sparse-bitmask' : 'sparse-24-bitmask';
    packed.set(compressed.name, weightOf(checkpoint, stem, { bitmask, compressed, shape, offsets }));
    for (const piece of [bitmask, shape, offsets]) if (piece) pieces.add(piece.name);
  }
  if (packing === null) return checkpoint;
  const tensors = checkpoint.tensors.flatMap((tensor) => packed.get(tensor.name) ?? (pieces.has(tensor.name) ? [] : [tensor]));
  return { ...checkpoint, tensors, packing };
}

interface Pieces { readonly bitmask: TensorInfo; readonly compressed: TensorInfo; readonly shape: TensorInfo; readonly offsets: TensorInfo | undefined }

function weightOf(checkpoint: Checkpoint, stem: string, { bitmask, compressed, shape, offsets }: Pieces): TensorInfo {
  const name = stem.endsWith('.weight') ? stem : `${stem}.weight`, file = checkpoint.files[compressed.file], where = { file: file.path, tensor: name };
  const wrong = (detail: string): never => { throw new CheckpointError('bad-encoding', where, detail); };
  if ([bitmask, shape, ...(offsets ? [offsets] : [])].some((piece) => piece.file !== compressed.file)) throw new CheckpointError('unsupported-format', where, 'its compressed pieces lie in several shards');
  if (shape.dtype !== 'I64' || shape.elements !== 2) wrong(`shape is ${shape.dtype} of ${shape.elements}`);
  const raw = new BigInt64Array(2), source = openSource(file, 'pread');
  try { source.read(shape.from, shape.to, new Uint8Array(raw.buffer)); } finally { source.close(); }
  const [rows, columns] = [Number(raw[0]), Number(raw[1])];
  if (!Number.isSafeInteger(rows * columns) || rows < 0 || columns < 0) wrong(`shape [${raw.join(', ')}]`);
  // The bits are in the file: they bound what rows and columns may claim.
  if (bitmask.shape.join() !== [rows, Math.ceil(columns / 8)].join()) wrong(`bits of [${bitmask.shape.join(', ')}] for [${rows}, ${columns}]`);
  if (offsets && (offsets.dtype !== 'I64' || offsets.elements !== rows || compressed.shape.length !== 1)) wrong(`row_offsets ${offsets.dtype} [${offsets.shape.join(', ')}], compressed [${compressed.shape.join(', ')}] for [${rows}, ${columns}]`);
  if (!offsets && compressed.shape.join() !== [rows, columns / 2].join()) wrong(`compressed [${compressed.shape.join(', ')}] is not half of [${rows}, ${columns}]`);
  const { bits } = dtypes[compressed.dtype];
  if (bits % 8 !== 0 || compressed.elements > rows * columns) wrong(`${compressed.elements} values of ${compressed.dtype} for [${rows}, ${columns}]`);
  return {
    name, dtype: compressed.dtype, shape: [rows, columns], elements: rows * columns, file: compressed.file, from: compressed.from, to: compressed.to,
    encoding: [{ kind: 'bitmask', itemBytes: bits / 8, rows, columns, bits: { from: bitmask.from, to: bitmask.to }, offsets: offsets ? { from: offsets.from, to: offsets.to } : null }],
  };
}

/** config.json of the same model stored dense: without what tells loaders of the packing. */
export function denseConfig({ packing, config }: Checkpoint): readonly GeneratedFile[] {
  if (packing === undefined || packing === 'torch-masks' || config === null) return [];
  const { quantization_config: stored, ...rest } = config;
  const kept = typeof stored === 'object' && stored !== null ? Object.fromEntries(Object.entries(stored).filter(([key]) => key !== 'sparsity_config')) : {};
  // What is quantised besides stays quantised.
  const quantised = 'config_groups' in kept && typeof kept.config_groups === 'object' && kept.config_groups !== null && Object.keys(kept.config_groups).length > 0;
  return [{ name: 'config.json', text: `${JSON.stringify(quantised ? { ...rest, quantization_config: kept } : rest, null, 2)}\n` }];
}
