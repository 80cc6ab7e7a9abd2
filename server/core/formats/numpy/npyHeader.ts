import { CheckpointError } from '../../errors';
import type { DType } from '../../tensor/dtype';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import { listNames, shownName } from '../names';

/** The longest header that is read; numpy itself refuses 10,000 characters unless it is told to trust the file. */
export const MAX_NPY_HEADER = 65_536;

/** What an array's header says. */
export interface NpyArray {
  /** Null for arrays without numbers (objects, records, text), `detail` then says which. */
  readonly dtype: DType | null;
  readonly detail: string;
  readonly shape: readonly number[];
  readonly elements: number;
  /** Bytes before the values. */
  readonly dataFrom: number;
  /** Of the values. */
  readonly dataBytes: number;
  /** What makes the values little-endian and row-major. */
  readonly steps: readonly EncodingStep[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

export const isNpy = (head: Uint8Array): boolean => head.length >= 10 && MAGIC.every((byte, i) => head[i] === byte);

/** Kind and size of a `descr` as ours. */
const kinds: Readonly<Record<string, DType>> = {
  '?1': 'BOOL', b1: 'BOOL', i1: 'I8', i2: 'I16', i4: 'I32', i8: 'I64', u1: 'U8', u2: 'U16', u4: 'U32', u8: 'U64', f2: 'F16', f4: 'F32', f8: 'F64', c8: 'C64',
};

/**
 * Bytes that the whole header takes, told from its first 12.
 *
 * @throws CheckpointError `header-too-short`, `header-too-large`, `bad-tensor-entry`
 */
export function npyHeaderBytes(head: Uint8Array, where: { readonly file: string; readonly tensor: string }): number {
  if (!isNpy(head)) throw new CheckpointError('bad-tensor-entry', where, 'it does not begin like a NumPy array');
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength), major = head[6];
  if (major < 1 || major > 3) throw new CheckpointError('bad-tensor-entry', where, `version ${major} of the NumPy format`);
  if (major > 1 && head.length < 12) throw new CheckpointError('header-cut-short', where, `${head.length} bytes`);
  const start = major === 1 ? 10 : 12, length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_NPY_HEADER) throw new CheckpointError('header-too-large', where, `header length ${length}, at most ${MAX_NPY_HEADER}`);
  return start + length;
}

/**
 * Reads the header of one array. numpy.org/devdocs/reference/generated/numpy.lib.format.html
 *
 * @param header exactly the bytes that `npyHeaderBytes` asks for
 * @throws CheckpointError `bad-tensor-entry`, `bad-shape`
 */
export function readNpyHeader(header: Uint8Array, where: { readonly file: string; readonly tensor: string }): NpyArray {
  const text = Buffer.from(header.buffer, header.byteOffset, header.byteLength).toString('latin1').slice(header[6] === 1 ? 10 : 12);
  const bad = (what: string): CheckpointError => new CheckpointError('bad-tensor-entry', where, `${what} in the NumPy header ${JSON.stringify(shownName(text.trim()))}`);
  const descr = /'descr'\s*:\s*(?:'([^']{0,64})'|(\[))/.exec(text), order = /'fortran_order'\s*:\s*(True|False)/.exec(text), size = /'shape'\s*:\s*\(([\d\s,L]{0,2000})\)/.exec(text);
  if (!text.trimStart().startsWith('{') || !descr || !order || !size) throw bad('descr, fortran_order or shape is missing');
  const shape = size[1].split(',').map((part) => part.trim().replace(/L$/, '')).filter((part) => part !== '').map(Number);
  if (shape.length > 64 || !shape.every((one) => Number.isSafeInteger(one)) || !Number.isSafeInteger(shape.reduce((product, one) => product * Math.max(1, one), 16))) {
    throw new CheckpointError('bad-shape', where, `[${listNames(shape.map(String))}]`);
  }
  const elements = shape.reduce((product, one) => product * one, 1), dataFrom = header.length;
  if (descr[2]) return { dtype: null, detail: 'an array of records', shape, elements, dataFrom, dataBytes: 0, steps: [] };
  const type = /^([<>=|]?)([a-zA-Z?])(\d{1,9})?/.exec(descr[1]);
  if (!type) throw bad('an unknown descr');
  const dtype = kinds[`${type[2]}${type[3] ?? '1'}`] as DType | undefined;
  if (dtype === undefined) return { dtype: null, detail: kindOf(type[2], descr[1]), shape, elements, dataFrom, dataBytes: 0, steps: [] };
  const itemBytes = dtypes[dtype].bits / 8, partBytes = dtype === 'C64' ? 4 : itemBytes;
  const steps: EncodingStep[] = [];
  if (type[1] === '>' && partBytes > 1) steps.push({ kind: 'swap', itemBytes: partBytes });
  // Column-major data of two or more real axes are a transposed view.
  if (order[1] === 'True' && shape.filter((one) => one !== 1).length > 1 && elements > 0) {
    let stride = 1;
    const strides = shape.map((one) => { const mine = stride; stride *= one; return mine; });
    steps.push({ kind: 'strided', itemBytes, shape, strides, offset: 0 });
  }
  return { dtype, detail: '', shape, elements, dataFrom, dataBytes: elements * itemBytes, steps };
}

function kindOf(kind: string, descr: string): string {
  if (kind === 'O') return 'pickled Python objects, which are not loaded';
  if (kind === 'U' || kind === 'S' || kind === 'a') return 'text';
  if (kind === 'M' || kind === 'm') return 'dates or durations';
  if (kind === 'V') return `raw items (${descr}), e.g. bfloat16 saved without its name`;
  return `items of type ${descr}`;
}
