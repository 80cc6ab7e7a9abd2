import { constants, inflateRawSync } from 'node:zlib';
import { cannotOpen } from '../../bytes/openSource';
import { CheckpointError, type Problem } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { FileHeader, Format, OpaqueEntry } from '../contract';
import { readExactly, withFile } from '../fileHead';
import { shownName } from '../names';
import { ZipReader, type ZipEntry } from '../pytorch/zip';
import { isNpy, npyHeaderBytes, readNpyHeader } from './npyHeader';

/** Packed bytes that are inflated to see a header: enough for any header that numpy writes. */
const PEEK_BYTES = 4096;
/** What they may inflate to. */
const MAX_PEEKED_BYTES = 8 * 2 ** 20;

type Tensor = FileHeader['tensors'][number];

/** One array (.npy), or a zip archive of them (.npz), stored or deflated. numpy.org/devdocs/reference/generated/numpy.lib.format.html */
export const numpy: Format = {
  id: 'numpy',
  title: 'NumPy',
  extensions: ['.npz', '.npy'],
  indexSuffix: null,
  folderNames: [],
  writable: false,

  sniff(head) {
    if (isNpy(head)) return true;
    // The first entry of an archive is an array.
    if (head.length < 30 || head[0] !== 0x50 || head[1] !== 0x4b || head[2] !== 3 || head[3] !== 4) return false;
    const length = head[26] + head[27] * 256;
    return length <= head.length - 30 && Buffer.from(head.buffer, head.byteOffset + 30, length).toString('latin1').endsWith('.npy');
  },

  readHeader(file) {
    try {
      return withFile(file, (fd, byteLength) => {
        if (byteLength < 10) throw new CheckpointError('header-too-short', { file }, `${byteLength} bytes`);
        return isNpy(readExactly(fd, file, 0, 10)) ? single(fd, file, byteLength) : archive(fd, file, byteLength);
      });
    } catch (error) {
      throw cannotOpen(error, file);
    }
  },
};

function single(fd: number, file: string, byteLength: number): FileHeader {
  const name = 'array', where = { file, tensor: name };
  const length = npyHeaderBytes(readExactly(fd, file, 0, Math.min(12, byteLength)), where);
  if (length > byteLength) throw new CheckpointError('header-cut-short', { file }, `the header takes ${length} bytes, ${byteLength} are there`);
  const array = readNpyHeader(readExactly(fd, file, 0, length), where);
  if (array.dtype === null) return header([], [{ name, kind: 'object', shape: array.shape, detail: array.detail }], file);
  const to = array.dataFrom + array.dataBytes;
  if (to > byteLength) throw new CheckpointError('file-cut-short', where, `the array ends at byte ${to}, ${byteLength} are there`);
  if (to < byteLength) throw new CheckpointError('trailing-bytes', { file }, `${byteLength - to} bytes after the array`);
  return header([{ name, dtype: array.dtype, shape: array.shape, elements: array.elements, from: array.dataFrom, to, ...(array.steps.length > 0 && { encoding: array.steps }) }], [], file);
}

function archive(fd: number, file: string, byteLength: number): FileHeader {
  const zip = new ZipReader(fd, file, byteLength), tensors: Tensor[] = [], opaque: OpaqueEntry[] = [];
  for (const entry of zip.entries.values()) {
    const name = entry.name.replace(/\.npy$/, ''), where = { file, tensor: shownName(name) };
    if (!entry.name.endsWith('.npy')) {
      if (!entry.name.endsWith('/')) opaque.push({ name, kind: 'file', detail: 'not an array' });
      continue;
    }
    const at = zip.dataFrom(entry), head = peek(fd, file, at, entry);
    const length = npyHeaderBytes(head, where);
    if (length > head.length) throw new CheckpointError('header-cut-short', where, `the header takes ${length} bytes, ${head.length} are there`);
    const array = readNpyHeader(head.slice(0, length), where);
    if (array.dtype === null) {
      opaque.push({ name, kind: 'object', shape: array.shape, detail: array.detail });
      continue;
    }
    const end = array.dataFrom + array.dataBytes;
    if (end !== entry.bytes) throw new CheckpointError('size-mismatch', where, `${array.dtype} [${array.shape.join(', ')}] needs ${array.dataBytes} bytes but has ${entry.bytes - array.dataFrom}`);
    const info = { name, dtype: array.dtype, shape: array.shape, elements: array.elements };
    const unpack: readonly EncodingStep[] = entry.deflated ? [{ kind: 'inflate', inflatedBytes: entry.bytes }, { kind: 'slice', from: array.dataFrom, to: end }] : [];
    const encoding = [...unpack, ...array.steps];
    tensors.push({ ...info, from: entry.deflated ? at : at + array.dataFrom, to: at + entry.packedBytes, ...(encoding.length > 0 && { encoding }) });
  }
  if (tensors.length === 0 && opaque.length === 0) throw new CheckpointError('no-tensors', { file }, 'the archive is empty');
  return header(tensors, opaque, file);
}

/** The first bytes of an entry, inflated where needed. */
function peek(fd: number, file: string, at: number, entry: ZipEntry): Uint8Array {
  if (!entry.deflated) return readExactly(fd, file, at, Math.min(entry.packedBytes, 2 * 65_536));
  const packed = readExactly(fd, file, at, Math.min(entry.packedBytes, PEEK_BYTES));
  try {
    return inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_PEEKED_BYTES });
  } catch (error) {
    throw new CheckpointError('bad-encoding', { file, tensor: shownName(entry.name) }, `it does not inflate: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function header(tensors: readonly Tensor[], opaque: readonly OpaqueEntry[], file: string): FileHeader {
  const problems: Problem[] = opaque.length === 0 ? [] : [{ code: 'opaque-entries', where: { file, tensor: shownName(opaque[0].name) }, detail: `${opaque.length}, e.g. ${shownName(opaque[0].name)}: ${opaque[0].detail}` }];
  return { tensors, metadata: null, dataFrom: 0, problems, ...(opaque.length > 0 && { opaque }) };
}
