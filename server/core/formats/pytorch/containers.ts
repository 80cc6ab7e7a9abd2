import { CheckpointError } from '../../errors';
import { readExactly } from '../fileHead';
import { foreignKind } from '../foreign';
import { listNames, shownName } from '../names';
import { PickleError, PickleTooShort, readPickle, type PickleOwner } from './pickle';
import { PyDict, PyList, type PyStorage, type PyValue } from './pickleValues';
import { itemBytesOf, type StorageBytes, type Storages } from './placeTensor';
import { TorchObjects } from './torchObjects';
import { ZipReader } from './zip';

/** What a container holds: the pickled value, its storages, and the names of calls that were not understood. */
export interface Contents {
  readonly value: PyValue;
  readonly storages: Storages;
  readonly unknown: ReadonlyMap<string, number>;
  readonly dataFrom: number;
}

/** The magic number that begins torch.save's stream format. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
/** A pickle has names and shapes only: about 300 bytes a tensor. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;
/** How much of a stream is read first. */
const FIRST_READ_BYTES = 2 ** 20;

const missing = (file: string, key: string, tensor: string, record: string): CheckpointError =>
  new CheckpointError('storage-missing', { file, tensor: shownName(tensor), key: shownName(key) }, `storage record ${record} is missing`);

/** torch.save since 1.6: a zip with `<root>/data.pkl` and `<root>/data/<key>`. @throws CheckpointError */
export function readZipContents(fd: number, file: string, byteLength: number): Contents {
  const zip = new ZipReader(fd, file, byteLength), names = [...zip.entries.keys()];
  const pickles = names.filter((name) => name === 'data.pkl' || name.endsWith('/data.pkl')).sort((a, b) => a.split('/').length - b.split('/').length || (a < b ? -1 : 1));
  if (pickles.length === 0) throw new CheckpointError('unsupported-format', { file }, `the content is ${foreignKind(Buffer.from('PK\x03\x04', 'latin1'), file) ?? 'a zip archive'}: no data.pkl, but ${listNames(names.slice(0, 4)) || 'nothing'}`);
  const root = pickles[0].slice(0, -'data.pkl'.length);
  if (names.some((name) => name.startsWith(`${root}code/`) || name === `${root}constants.pkl`)) {
    const weights = names.filter((name) => name.startsWith(`${root}data/`)).length;
    throw new CheckpointError('torchscript', { file }, `written by torch.jit.save, ${weights} storages`);
  }
  const order = zip.entries.get(`${root}byteorder`);
  const swapped = order !== undefined && order.bytes < 64 && Buffer.from(zip.read(order)).toString('latin1').trim() === 'big';
  const owner = new TorchObjects(file);
  const { value } = pickled(file, () => readPickle(zip.read(zip.entries.get(pickles[0])!), 0, owner));
  const known = new Map<string, StorageBytes>();
  const find = ({ key }: PyStorage, tensor: string): StorageBytes => {
    const found = known.get(key);
    if (found) return found;
    const entry = zip.entries.get(`${root}data/${key}`);
    if (!entry) throw missing(file, key, tensor, `data/${key}`);
    const from = zip.dataFrom(entry);
    const place = { from, to: from + entry.packedBytes, bytes: entry.bytes, deflated: entry.deflated, swapped };
    known.set(key, place);
    return place;
  };
  return { value, storages: { find }, unknown: owner.unknown, dataFrom: 0 };
}

/**
 * torch.save before 1.6: magic number, protocol, system, the object and the list of storage keys as five pickles, then each
 * storage as its number of elements (8 bytes) and its bytes, little endian always.
 *
 * @throws CheckpointError
 */
export function readStreamContents(fd: number, file: string, byteLength: number): Contents {
  for (let length = Math.min(FIRST_READ_BYTES, byteLength); ; length = Math.min(byteLength, length * 8, MAX_PICKLE_BYTES)) {
    try {
      return readStream(readExactly(fd, file, 0, length), fd, file, byteLength);
    } catch (error) {
      if (!(error instanceof PickleTooShort)) throw error;
      if (length >= Math.min(byteLength, MAX_PICKLE_BYTES)) throw new CheckpointError('pickle-broken', { file }, length < byteLength ? `longer than ${MAX_PICKLE_BYTES} bytes` : `cut short: ${error.message}`);
    }
  }
}

/** @throws PickleTooShort when the pickles go on beyond the bytes at hand */
function readStream(bytes: Uint8Array, fd: number, file: string, byteLength: number): Contents {
  const owner = new TorchObjects(file), plain: PickleOwner = new TorchObjects(file);
  const read = (from: number, by: PickleOwner): ReturnType<typeof readPickle> => pickled(file, () => readPickle(bytes, from, by), true);
  const magic = read(0, owner);
  if (magic.value !== MAGIC) throw new CheckpointError('unsupported-format', { file }, 'the content is a Python pickle that torch.save did not write');
  const protocol = read(magic.end, plain), system = read(protocol.end, plain), object = read(system.end, owner), keys = read(object.end, plain);
  const order = keys.value instanceof PyList ? keys.value.items : [];
  const sizes = itemSizes(object.value);
  const known = new Map<string, StorageBytes>();
  let at = keys.end;
  for (const key of order) {
    const name = String(key);
    if (at + 8 > byteLength) break;
    const head = readExactly(fd, file, at, 8), numel = new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true);
    const size = Number(numel) * (sizes.get(name) ?? 1);
    if (numel < 0n || !Number.isSafeInteger(size)) throw new CheckpointError('pickle-broken', { file, key: shownName(name) }, `storage ${shownName(name)} has ${numel} elements`);
    at += 8;
    // A cut file keeps what is whole; the tensor that needs the rest says so.
    known.set(name, { from: at, to: Math.min(byteLength, at + size), bytes: Math.max(0, Math.min(byteLength - at, size)), deflated: false, swapped: false });
    at += size;
    if (at > byteLength) break;
  }
  const find = ({ key }: PyStorage, tensor: string): StorageBytes => {
    const found = known.get(key);
    if (!found) throw missing(file, key, tensor, shownName(key));
    return found;
  };
  return { value: object.value, storages: { find }, unknown: owner.unknown, dataFrom: keys.end };
}

/** Bytes of an item of each storage that a value refers to, by key. */
function itemSizes(root: PyValue): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>(), seen = new Set<unknown>(), waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array || seen.has(value)) continue;
    seen.add(value);
    const storage = value as Partial<PyStorage>;
    if (typeof storage.key === 'string' && typeof storage.type === 'string') sizes.set(storage.key, itemBytesOf(storage.type));
    else if (value instanceof PyDict) for (const [key, item] of value.entries) waiting.push(key, item);
    else for (const item of Object.values(value)) if (Array.isArray(item)) for (const one of item) waiting.push(one); else waiting.push(item);
  }
  return sizes;
}

/** Runs the machine; its faults become `pickle-broken`. */
function pickled<T>(file: string, work: () => T, mayGoOn = false): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof PickleError) || (mayGoOn && error instanceof PickleTooShort)) throw error;
    throw new CheckpointError('pickle-broken', { file }, error.message, { cause: error });
  }
}
