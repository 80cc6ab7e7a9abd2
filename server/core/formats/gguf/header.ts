import { CheckpointError, type Problem } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { TensorInfo } from '../../tensor/tensorInfo';
import type { FileHeader } from '../contract';
import { withFile } from '../fileHead';
import { shownName } from '../names';
import { bitsPerWeight, droppedTypes, ggmlTypeOf } from './ggmlTypes';
import type { GgmlType } from './ggmlTypes';
import { readMetadata, readPreamble } from './metadata';
import { HeaderReader } from './reader';

/** ggml's own limit. */
const MAX_DIMENSIONS = 4;

/** The largest published models have a few thousand tensors a file. */
const MAX_TENSORS = 2 ** 16;

const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 2 ** 24;

type Tensor = Omit<TensorInfo, 'file'>;
interface Entry { readonly name: string; readonly shape: readonly number[]; readonly elements: number; readonly type: GgmlType; readonly offset: number; readonly bytes: number }

/** Names of what this module adds to the metadata. */
export const VERSION_KEY = 'GGUF.version';

/**
 * Reads and checks the header of one GGUF file of version 1 to 3 and either byte order. Names are as stored; dimensions are
 * turned round (GGUF counts from the innermost), so shapes are row-major.
 *
 * @throws CheckpointError `header-cut-short`, `metadata-broken`, `bad-tensor-entry`, `bad-shape`, `unknown-dtype`,
 *   `duplicate-tensor`, `offset-out-of-range`, `file-cut-short`, `overlap`, `unsupported-format`
 */
export function readGgufHeader(file: string): FileHeader {
  return withFile(file, (fd, byteLength) => {
    const reader = new HeaderReader(fd, file, byteLength);
    const preamble = readPreamble(reader, file);
    const { values } = readMetadata(reader, file, preamble.keys);
    const alignment = alignmentOf(values['general.alignment'], file);
    const entries = readEntries(reader, file, preamble.tensors);
    const dataFrom = Math.ceil(reader.at / alignment) * alignment;
    const problems = checkPlaces(file, entries, dataFrom, byteLength, alignment);
    return {
      tensors: entries.map((entry) => tensorOf(entry, dataFrom, preamble.bigEndian)),
      metadata: { [VERSION_KEY]: `${preamble.version}${preamble.bigEndian ? ', big endian' : ''}`, ...values },
      dataFrom: Math.min(dataFrom, byteLength),
      problems,
    };
  });
}

function alignmentOf(text: string | undefined, file: string): number {
  if (text === undefined) return DEFAULT_ALIGNMENT;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > MAX_ALIGNMENT) {
    throw new CheckpointError('metadata-broken', { file, key: 'general.alignment' }, `general.alignment is ${text.slice(0, 40)}, expected 1 to ${MAX_ALIGNMENT}`);
  }
  return value;
}

function readEntries(reader: HeaderReader, file: string, count: number): Entry[] {
  // A name's length, the number of dimensions, type and offset: what every entry has at least.
  const least = (reader.shortLengths ? 4 : 8) + 4 + 4 + 8;
  if (count * least > reader.left) throw new CheckpointError('header-cut-short', { file }, `${count} tensors claimed, ${reader.left} bytes are left`);
  if (count > MAX_TENSORS) throw new CheckpointError('bad-tensor-entry', { file }, `${count} tensors, at most ${MAX_TENSORS}`);
  const entries: Entry[] = [], names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = reader.text(`the name of tensor ${i}`);
    if (name === null || name === '') throw new CheckpointError('bad-tensor-entry', { file }, `tensor ${i} has ${name === null ? 'a name that is too long' : 'no name'}`);
    const where = { file, tensor: shownName(name) };
    if (names.has(name)) throw new CheckpointError('duplicate-tensor', where, 'two entries have this name');
    names.add(name);
    const dimensions = reader.u32(`the dimensions of ${shownName(name)}`);
    if (dimensions > MAX_DIMENSIONS) throw new CheckpointError('bad-shape', where, `it claims ${dimensions} dimensions, at most ${MAX_DIMENSIONS}`);
    const sizes = Array.from({ length: dimensions }, () => reader.length(`the shape of ${shownName(name)}`));
    const elements = sizes.reduce((product, size) => product * size, 1);
    if (!sizes.every(Number.isSafeInteger) || !Number.isSafeInteger(elements * 8)) throw new CheckpointError('bad-shape', where, `[${sizes.join(', ')}] is too large`);
    const type = typeOf(reader.u32(`the type of ${shownName(name)}`), where);
    // Blocks run along rows: the first dimension has to be a whole number of them.
    if ((sizes[0] ?? 1) % type.elements !== 0) throw new CheckpointError('bad-shape', where, `a row of ${sizes[0] ?? 1} is not a multiple of the ${type.name} block of ${type.elements}`);
    const offset = reader.u64(`the offset of ${shownName(name)}`);
    entries.push({ name, shape: sizes.reverse(), elements, type, offset, bytes: (elements / type.elements) * type.bytes });
  }
  return entries;
}

function typeOf(id: number, where: { readonly file: string; readonly tensor: string }): GgmlType {
  const type = ggmlTypeOf(id);
  if (type) return type;
  throw new CheckpointError('unknown-dtype', where, Object.hasOwn(droppedTypes, id) ? `${droppedTypes[id]}, which ggml has dropped` : `ggml type ${id}`);
}

function checkPlaces(file: string, entries: readonly Entry[], dataFrom: number, byteLength: number, alignment: number): Problem[] {
  const problems: Problem[] = [];
  let end = dataFrom, last: Entry | null = null, gaps = 0;
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    const where = { file, tensor: shownName(entry.name) };
    const from = dataFrom + entry.offset, to = from + entry.bytes;
    if (!Number.isSafeInteger(to)) throw new CheckpointError('offset-out-of-range', where, `it begins at ${from} and takes ${entry.bytes} bytes`);
    if (entry.offset % alignment !== 0) throw new CheckpointError('bad-tensor-entry', where, `its offset ${entry.offset} is not a multiple of the alignment ${alignment}`);
    if (to > byteLength) throw new CheckpointError('file-cut-short', where, `the file ends inside tensor ${where.tensor}: ${to} bytes expected, it has ${byteLength}`);
    if (from < end && entry.bytes > 0) throw new CheckpointError('overlap', where, `it begins at ${from}, ${last ? shownName(last.name) : 'the header'} ends at ${end}`);
    if (from - end >= alignment) gaps += from - end;
    end = Math.max(end, to);
    last = entry;
  }
  if (gaps > 0) problems.push({ code: 'gap', where: { file }, detail: `${gaps} bytes` });
  if (byteLength - end >= alignment) problems.push({ code: 'trailing-bytes', where: { file }, detail: `${byteLength - end} bytes after ${end}` });
  if (entries.length === 0) problems.push({ code: 'no-tensors', where: { file }, detail: 'only metadata, such as a vocabulary' });
  return problems;
}

function tensorOf({ name, shape, elements, type, offset, bytes }: Entry, dataFrom: number, bigEndian: boolean): Tensor {
  const base = { name, shape, elements, from: dataFrom + offset, to: dataFrom + offset + bytes };
  if (type.plain !== null) {
    const steps: EncodingStep[] = bigEndian && type.bytes > 1 ? [{ kind: 'swap', itemBytes: type.bytes }] : [];
    return { ...base, dtype: type.plain, ...(steps.length > 0 && { encoding: steps }) };
  }
  return {
    ...base, dtype: 'F32', storedDtype: type.name, storedBits: bitsPerWeight(type),
    encoding: [{ kind: 'ggml', type: type.id, ...(bigEndian && { bigEndian: true as const }) }],
  };
}
