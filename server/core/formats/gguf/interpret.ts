import { openTensor } from '../../bytes/decodedSource';
import { CheckpointError, type Problem } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { TensorInfo } from '../../tensor/tensorInfo';
import { dtypes } from '../../tensor/dtype';
import type { Checkpoint } from '../contract';
import { configFrom } from './config';
import { isMapped, mapNames, ROPE_FACTORS } from './names';
import type { Mapped } from './names';

/** Longest row, in bytes, that is moved as one item. */
const MAX_ITEM = 2 ** 19;

/**
 * What the metadata of a GGUF make of its tensors: the split complete, a config in transformers' words, and, for the
 * architectures whose names are known, tensors under transformers' names and in its layouts.
 *
 * @throws CheckpointError `shard-missing` when fewer tensors are there than the first part announces
 */
export function interpretGguf(checkpoint: Checkpoint): Checkpoint {
  const values = checkpoint.files[0].metadata ?? {};
  const problems: Problem[] = [...checkSplit(checkpoint, values)];
  const architecture = values['general.architecture'];
  if (!isMapped(architecture)) {
    const config = architecture === undefined ? checkpoint.config : { model_type: architecture.slice(0, 60) };
    return { ...checkpoint, config, problems: [...checkpoint.problems, ...problems] };
  }
  const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  let config = configFrom(architecture, values, { has: (name) => byName.has(name), shape: (name) => byName.get(name)?.shape ?? null });
  const factors = byName.get(ROPE_FACTORS);
  if (factors) config = { ...config, ...(llama3From(checkpoint, factors, config) ?? {}) };
  const mapped = mapNames(architecture, checkpoint.tensors.map((tensor) => tensor.name));
  const tensors = mapped ? checkpoint.tensors.map((tensor, i) => renamed(tensor, mapped[i], config)) : checkpoint.tensors;
  return { ...checkpoint, config, tensors, problems: [...checkpoint.problems, ...problems] };
}

function checkSplit(checkpoint: Checkpoint, values: Readonly<Record<string, string>>): Problem[] {
  const where = { file: checkpoint.path }, count = Number(values['split.count'] ?? 1), total = Number(values['split.tensors.count']);
  if (count > 1 && count !== checkpoint.files.length) {
    throw new CheckpointError('shard-missing', where, `${values['split.no'] === undefined ? 'one part' : `part ${Number(values['split.no']) + 1}`} of ${count}, ${checkpoint.files.length} here: the names of the parts end in -00001-of-${String(count).padStart(5, '0')}.gguf`);
  }
  if (Number.isFinite(total) && total !== checkpoint.tensors.length) {
    throw new CheckpointError('shard-missing', where, `${total} tensors announced, ${checkpoint.tensors.length} are here`);
  }
  // split.no counts from 0, the file names from 1.
  return checkpoint.files.flatMap((file, i): Problem[] => {
    const no = file.metadata?.['split.no'];
    return no === undefined || Number(no) === i ? [] : [{ code: 'metadata-broken', where: { file: file.path, key: 'split.no' }, detail: `it says part ${Number(no) + 1}, its name part ${i + 1}` }];
  });
}

/** The tensor under its name in transformers, with the steps that undo the layout. */
function renamed(tensor: TensorInfo, mapped: Mapped, config: Readonly<Record<string, unknown>>): TensorInfo {
  const steps = [...(tensor.encoding ?? [])], item = dtypes[tensor.dtype].bits / 8;
  let { shape } = tensor;
  if (mapped.layout === 'transposed' && shape.length === 2) {
    steps.push({ kind: 'transpose', itemBytes: item, rows: shape[0], columns: shape[1] });
    shape = [shape[1], shape[0]];
  } else if (mapped.layout === 'query' || mapped.layout === 'key') {
    const step = unpaired(shape, item, mapped.layout === 'query' ? config.num_attention_heads : config.num_key_value_heads);
    if (step) steps.push(step);
  }
  return { ...tensor, name: mapped.name, shape, storedName: tensor.name, ...(steps.length > 0 && { encoding: steps }) };
}

/**
 * llama.cpp stores the rows of a head as pairs (i, i + half), transformers as two halves. Row (h, j, i) of transformers is
 * row (h, i, j) of the file, for j in 0..2 and i in 0..half.
 */
function unpaired(shape: readonly number[], item: number, heads: unknown): EncodingStep | null {
  const rows = shape[0] ?? 0, width = shape[1] ?? 1;
  if (typeof heads !== 'number' || !Number.isInteger(heads) || heads < 1 || rows === 0 || width === 0 || rows % (2 * heads) !== 0) return null;
  const head = rows / heads;
  const byRow = width * item <= MAX_ITEM;
  return byRow ? { kind: 'strided', itemBytes: width * item, shape: [heads, 2, head / 2], strides: [head, 1, 2], offset: 0 }
    : { kind: 'strided', itemBytes: item, shape: [heads, 2, head / 2, width], strides: [head * width, width, 2 * width, 1], offset: 0 };
}

/** More factors than any head has halves are no rope factors. */
const MAX_FACTORS = 65_536;

/**
 * The `llama3` scaling that the stored factors are the outcome of: 1 for short waves, the whole factor for long ones, a ramp
 * between. The limits are those of every published model (1 and 4 times 8192 tokens); null when the factors are others.
 */
function llama3From(checkpoint: Checkpoint, tensor: TensorInfo, config: Readonly<Record<string, unknown>>): Record<string, unknown> | null {
  const theta = config.rope_theta ?? 10_000;
  if (tensor.dtype !== 'F32' || tensor.shape.length !== 1 || tensor.elements === 0 || tensor.elements > MAX_FACTORS || typeof theta !== 'number') return null;
  const source = openTensor(checkpoint.files[tensor.file], tensor, 'pread'), stored = new Float32Array(tensor.elements);
  try {
    source.read(0, stored.byteLength, new Uint8Array(stored.buffer));
  } finally {
    source.close();
  }
  const factor = stored.reduce((most, value) => Math.max(most, value), 0), original = 8192, low = 1, high = 4;
  const fits = stored.every((value, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / stored.length);
    const smooth = (original / wavelength - low) / (high - low);
    const expected = wavelength < original / high ? 1 : wavelength > original / low ? factor : 1 / ((1 - smooth) / factor + smooth);
    return Math.abs(value - expected) <= 1e-4 * expected;
  });
  return fits ? { rope_scaling: { rope_type: 'llama3', factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } } : null;
}
