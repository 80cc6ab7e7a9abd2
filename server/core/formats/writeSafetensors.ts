import { openSource } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import { dtypeBytes, dtypes, type DType } from '../tensor/dtype';
import type { Checkpoint } from './contract';
import { isRewritten } from './written';
import { formatOf } from './registry';
import { MAX_HEADER_BYTES } from './safetensors';

/** A tensor to be written, without its values. */
export interface TargetTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Everything about a file to be written but its values. */
export interface FileLayout {
  /** The first `dataFrom` bytes of the file: header length and header. */
  readonly head: Uint8Array;
  /** First byte of the data, a multiple of 8 unless copied from a source that is not. */
  readonly dataFrom: number;
  /** Size of the whole file. */
  readonly byteLength: number;
  /** Where each tensor's bytes go: [from, to) from the start of the file. */
  readonly places: ReadonlyMap<string, { readonly from: number; readonly to: number }>;
  /** All other bytes are those of the source file, in their places. */
  readonly inPlace?: true;
}

/**
 * The head of a new safetensors file. Data lie in the order given, without holes; the header is padded with blanks to
 * a multiple of 8, as the reference writer does.
 *
 * @param metadata `__metadata__`, or null for none
 * @throws CheckpointError `duplicate-tensor`, `size-mismatch`, `header-too-large`
 */
export function layOutFile(tensors: readonly TargetTensor[], metadata: Readonly<Record<string, string>> | null, file: string): FileLayout {
  const parts: string[] = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const relative = new Map<string, { from: number; to: number }>();
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    // `__metadata__` is not a name that a tensor can have in this format.
    if (relative.has(name) || name === '__metadata__') throw new CheckpointError('duplicate-tensor', { file, tensor: name }, '');
    const bytes = dtypeBytes(dtype, shape.reduce((product, size) => product * size, 1));
    if (bytes === null) throw new CheckpointError('size-mismatch', { file, tensor: name }, `${dtype} [${shape.join(', ')}] does not fill whole bytes`);
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [end, end + bytes] })}`);
    relative.set(name, { from: end, to: end + bytes });
    end += bytes;
  }
  const json = Buffer.from(`{${parts.join(',')}}`, 'utf8');
  const dataFrom = Math.ceil((8 + json.length) / 8) * 8;
  if (dataFrom - 8 > MAX_HEADER_BYTES) throw new CheckpointError('header-too-large', { file }, `header length ${dataFrom - 8}, at most ${MAX_HEADER_BYTES}`);
  const head = new Uint8Array(dataFrom).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(dataFrom - 8), true);
  head.set(json, 8);
  const places = new Map([...relative].map(([name, { from, to }]) => [name, { from: dataFrom + from, to: dataFrom + to }]));
  return { head, dataFrom, byteLength: dataFrom + end, places };
}

/** Wide elements first, so that every tensor begins at a multiple of its element; otherwise in the order given. */
export const aligned = (tensors: readonly TargetTensor[]): TargetTensor[] => [...tensors].sort((a, b) => dtypes[b.dtype].bits - dtypes[a.dtype].bits);

/** What makes a header unfit to be copied: a written file holds text metadata only and begins with a brace. */
const UNFIT: ReadonlySet<string> = new Set(['metadata-not-text', 'header-space-first']);

/**
 * The layout of a file that holds the same tensors as file number `number` of the checkpoint: its header byte for byte
 * where that is sound, else written anew in the same order (a stale copy that the index does not use is left out).
 *
 * @param leftOut copies that are names only, with the names that are kept: they stand in the metadata of another format's copy
 * @throws CheckpointError `file-changed-while-reading`, `not-found`, `not-readable`
 */
export function layOutLike(checkpoint: Checkpoint, number: number, leftOut: ReadonlyMap<string, string> = new Map()): FileLayout {
  const file = checkpoint.files[number];
  const tensors = checkpoint.tensors.filter((tensor) => tensor.file === number);
  if (formatOf(checkpoint.format).inPlace) {
    return { head: new Uint8Array(0), dataFrom: 0, byteLength: file.byteLength, places: new Map(tensors.map(({ name, from, to }) => [name, { from, to }])), inPlace: true };
  }
  if (isRewritten(checkpoint)) return layOutFile(aligned(tensors.filter(({ name }) => !leftOut.has(name))), { format: 'pt', ...file.metadata, ...namesLeftOut(tensors, leftOut) }, file.path);
  const held = tensors.reduce((sum, tensor) => sum + tensor.to - tensor.from, 0);
  const sound = held === file.byteLength - file.dataFrom
    && !checkpoint.problems.some((problem) => problem.where.file === file.path && (UNFIT.has(problem.code) || problem.code === 'stray-copy'));
  if (!sound) return layOutFile(tensors, file.metadata, file.path);
  const head = new Uint8Array(file.dataFrom);
  const source = openSource(file, 'pread');
  try {
    source.read(0, file.dataFrom, head);
  } finally {
    source.close();
  }
  return { head, dataFrom: file.dataFrom, byteLength: file.byteLength, places: new Map(tensors.map(({ name, from, to }) => [name, { from, to }])) };
}

/** Metadata of one file: those of its tensors that are left out, each with the tensor that holds its values. */
export const namesLeftOut = (tensors: readonly { readonly name: string }[], leftOut: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries([...leftOut].filter(([copy]) => tensors.some(({ name }) => name === copy)));

/**
 * Text of the `*.index.json` of a written set. `total_size` is the sum of the tensors' bytes, whatever the source said.
 *
 * @param shards file names as they stand beside the index, with their layouts
 */
export function encodeShardIndex(shards: readonly { readonly name: string; readonly layout: FileLayout }[]): string {
  const map = shards.flatMap(({ name, layout }) => [...layout.places.keys()].map((tensor) => [tensor, name] as const));
  const total = shards.reduce((sum, { layout }) => sum + layout.byteLength - layout.dataFrom, 0);
  return `${JSON.stringify({ metadata: { total_size: total }, weight_map: Object.fromEntries(map) }, null, 2)}\n`;
}
