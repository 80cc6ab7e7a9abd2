import { CheckpointError } from '../../errors';
import { shownName } from '../names';
import type { HeaderReader} from './reader';
import { ARRAY_TYPE, isScalarType, scalarBytes, TEXT_TYPE } from './reader';

/** Elements of texts and arrays that are stepped over one by one: the largest vocabularies have under a million. */
const MAX_STEPPED = 2 ** 24;

/** The deepest nesting of arrays that is followed. */
const MAX_DEPTH = 16;

/** Keys of one file; models have under a hundred. */
const MAX_KEYS = 2 ** 16;

/** All values kept as text, together. */
const MAX_KEPT = 2 ** 23;

/** Arrays of numbers up to this length are kept (per-layer settings). */
const MAX_KEPT_ITEMS = 512;

/** A whole array that was asked for. */
export type Items = readonly (string | number | boolean)[];

export interface Metadata {
  /** Key to value as text: numbers and booleans in decimal, short arrays as JSON, others as `[49152 texts]`. */
  readonly values: Readonly<Record<string, string>>;
  /** The arrays (and texts of any length) that were asked for. */
  readonly wanted: ReadonlyMap<string, Items>;
}

export interface Preamble { readonly version: number; readonly bigEndian: boolean; readonly tensors: number; readonly keys: number }

/** Magic, version (which tells the byte order), counts. @throws CheckpointError `wrong-content`, `unsupported-format`, `header-cut-short` */
export function readPreamble(reader: HeaderReader, file: string): Preamble {
  reader.skip(4, 'the magic');
  let version = reader.u32('the version');
  // A version of the other byte order is a multiple of 65536.
  if (version !== 0 && version % 65536 === 0) {
    reader.littleEndian = false;
    reader.at = 4;
    version = reader.u32('the version');
  }
  if (version < 1 || version > 3) throw new CheckpointError('unsupported-format', { file }, `GGUF version ${version}; 1 to 3 are known`);
  reader.shortLengths = version === 1;
  const tensors = reader.length('the number of tensors'), keys = reader.length('the number of metadata keys');
  if (keys > MAX_KEYS) throw new CheckpointError('metadata-broken', { file }, `${keys} keys, at most ${MAX_KEYS}`);
  return { version, bigEndian: !reader.littleEndian, tensors, keys };
}

/**
 * Reads all metadata, keeping what is small and what was asked for. Large arrays are stepped over without being held.
 *
 * @param wants keys whose arrays or texts are wanted whole
 * @throws CheckpointError `metadata-broken`, `header-cut-short`
 */
export function readMetadata(reader: HeaderReader, file: string, keys: number, wants: ReadonlySet<string> = new Set()): Metadata {
  const values = new Map<string, string>(), wanted = new Map<string, Items>();
  const walk = new ArrayWalk(reader, file);
  let kept = 0;
  for (let i = 0; i < keys; i++) {
    const key = reader.text(`key ${i}`);
    if (key === null) throw new CheckpointError('metadata-broken', { file }, `key ${i} is too long`);
    if (values.has(key)) throw new CheckpointError('metadata-broken', { file, key: shownName(key) }, 'the key appears twice');
    const what = `the value of ${shownName(key)}`, type = reader.u32(`the type of ${shownName(key)}`);
    let text: string;
    if (isScalarType(type)) text = String(reader.scalar(type, what));
    else if (type === TEXT_TYPE) {
      const value = reader.text(what, wants.has(key) ? 2 ** 24 : undefined);
      text = value ?? '[a long text]';
      if (value !== null && wants.has(key)) wanted.set(key, [value]);
    } else if (type === ARRAY_TYPE) {
      const items = walk.array(what, wants.has(key));
      text = items.text;
      if (wants.has(key) && items.kept) wanted.set(key, items.kept);
    } else throw new CheckpointError('metadata-broken', { file, key: shownName(key) }, `a value of type ${type}`);
    kept += key.length + text.length;
    if (kept > MAX_KEPT) throw new CheckpointError('metadata-broken', { file }, `more than ${MAX_KEPT} characters of keys and values`);
    values.set(key, text);
  }
  return { values: Object.fromEntries(values), wanted };
}

class ArrayWalk {
  private stepped = 0;
  constructor(private readonly reader: HeaderReader, private readonly file: string) {}

  private step(what: string): void {
    if (++this.stepped > MAX_STEPPED) throw new CheckpointError('metadata-broken', { file: this.file }, `${what} has more than ${MAX_STEPPED} texts and arrays`);
  }

  /** One array: its items when they are wanted or few, and how it is shown. */
  array(what: string, wanted: boolean, depth = 0): { readonly text: string; readonly kept: Items | null } {
    const { reader, file } = this;
    if (depth > MAX_DEPTH) throw new CheckpointError('metadata-broken', { file }, `${what} nests arrays more than ${MAX_DEPTH} deep`);
    const type = reader.u32(`the element type of ${what}`), count = reader.length(`the length of ${what}`);
    const least = isScalarType(type) ? scalarBytes(type) : type === TEXT_TYPE ? (reader.shortLengths ? 4 : 8) : type === ARRAY_TYPE ? (reader.shortLengths ? 8 : 12) : null;
    if (least === null) throw new CheckpointError('metadata-broken', { file }, `${what} has elements of type ${type}`);
    if (count * least > reader.left) {
      throw new CheckpointError('header-cut-short', { file }, `${what} claims ${count} elements of at least ${least} bytes, ${reader.left} bytes are left`);
    }
    if (isScalarType(type)) {
      if (!wanted && count > MAX_KEPT_ITEMS) {
        reader.skip(count * least, what);
        return { text: `[${count} numbers]`, kept: null };
      }
      const kept = Array.from({ length: count }, () => reader.scalar(type, what));
      return { text: count > MAX_KEPT_ITEMS ? `[${count} numbers]` : JSON.stringify(kept), kept };
    }
    if (type === TEXT_TYPE) {
      const kept: string[] = [], few = count <= 16;
      for (let i = 0; i < count; i++) {
        this.step(what);
        const text = reader.text(`text ${i} of ${what}`, wanted ? undefined : few ? 256 : 0);
        if (wanted || few) kept.push(text ?? '\u2026');
      }
      return { text: few ? JSON.stringify(kept) : `[${count} texts]`, kept: wanted ? kept : null };
    }
    const inner: string[] = [];
    for (let i = 0; i < count; i++) {
      this.step(what);
      const { text } = this.array(what, false, depth + 1);
      if (inner.length < 8) inner.push(text);
    }
    return { text: count <= 8 && inner.join().length < 1024 ? `[${inner.join(',')}]` : `[${count} arrays]`, kept: null };
  }
}
