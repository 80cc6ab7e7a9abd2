import { randomBytes } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync, statSync, writeSync, openSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import { openTensor } from '../bytes/decodedSource';
import { prepareSpill } from '../bytes/decoders/prepareSpill';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { Checkpoint } from '../formats/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { requireSpace } from '../pruning/publish';
import { dtypes } from '../tensor/dtype';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';

const WINDOW_BYTES = 8 * 2 ** 20;
/** Each tensor starts at a multiple of this: a cache line, and whole elements of every dtype. */
const ALIGNMENT = 64;

/** A model whose weights all lie in files as the runtime takes them, and how to remove what was written for that. */
export interface PlainModel {
  readonly model: Model;
  /** Removes the temporary file. Safe to call twice. */
  close(): void;
}

/**
 * What lies at an odd byte of its file is copied too: the runtime's kernels count on whole elements. Constants stay in their
 * graph, and the integers of a graph are the runtime's own.
 */
function needsCopy({ dtype, encoding, section, from, elements, use }: TensorInfo): boolean {
  if (section === 'constant' || elements === 0) return false;
  return encoding ? !encoding.some((step) => step.kind === 'packed' || (use !== undefined && step.kind === 'affine')) : from % Math.ceil(dtypes[dtype].bits / 8) !== 0;
}

/**
 * ONNX Runtime reads weights by reference. Weights that are encoded (compressed, strided, big-endian, block-quantised) are
 * decoded into one temporary file first; all others stay where they are. Nothing is written when none is encoded.
 *
 * @param folder where the temporary file goes; null for the system's
 * @throws CheckpointError `disk-full`, `cancelled`, and what decoding throws
 */
export async function* withPlainWeights(model: Model, folder: string | null, signal?: AbortSignal): Job<PlainModel> {
  const { checkpoint } = model;
  const encoded = checkpoint.tensors.filter(needsCopy);
  if (encoded.length === 0) return { model, close: () => {} };
  const total = encoded.reduce((sum, tensor) => sum + Math.ceil(valueBytes(tensor) / ALIGNMENT) * ALIGNMENT, 0);
  const room = folder === null ? mkdtempSync(path.join(tmpdir(), 'winnow-weights-')) : path.join(folder, `.scratch-${process.pid}-${randomBytes(4).toString('hex')}`);
  const close = (): void => {
    process.removeListener('exit', close);
    rmSync(room, { recursive: true, force: true });
  };
  process.once('exit', close);
  try {
    makeFolder(room);
    const file = path.join(room, 'weights.bin');
    requireSpace({ kind: 'file', path: file, replaces: false }, total);
    const places = yield* write(checkpoint, encoded, file, total, signal);
    return { model: { ...model, checkpoint: plain(checkpoint, places, file) }, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function* write(checkpoint: Checkpoint, encoded: readonly TensorInfo[], file: string, total: number, signal?: AbortSignal): Job<ReadonlyMap<string, number>> {
  const places = new Map<string, number>(), window = new Uint8Array(Math.min(WINDOW_BYTES, total));
  const fd = openSync(file, 'wx', 0o600);
  let at = 0;
  try {
    for (const tensor of encoded) {
      await prepareSpill(checkpoint.files[tensor.file], tensor, signal);
      const source = openTensor(checkpoint.files[tensor.file], tensor, 'pread');
      try {
        for (let from = 0, size = valueBytes(tensor); from < size; from += WINDOW_BYTES) {
          throwIfCancelled(signal);
          const length = Math.min(WINDOW_BYTES, size - from);
          source.read(from, from + length, window);
          for (let done = 0; done < length;) done += writeSync(fd, window, done, length - done, at + from + done);
          yield { stage: 'decoding weights', done: at + from, total, unit: 'bytes' };
          await new Promise((resolve) => { setImmediate(resolve); });
        }
      } finally {
        source.close();
      }
      places.set(tensor.name, at);
      at += Math.ceil(valueBytes(tensor) / ALIGNMENT) * ALIGNMENT;
    }
    return places;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!(error instanceof CheckpointError) && (code === 'ENOSPC' || code === 'EDQUOT')) throw new CheckpointError('disk-full', { file }, code, { cause: error });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** The checkpoint with its decoded tensors in one more file. */
function plain(checkpoint: Checkpoint, places: ReadonlyMap<string, number>, file: string): Checkpoint {
  const { size, mtimeMs } = statSync(file);
  const extra = { path: file, realPath: realpathSync(file), byteLength: size, mtimeMs, dataFrom: 0, metadata: null };
  const tensors = checkpoint.tensors.map((tensor): TensorInfo => {
    const from = places.get(tensor.name);
    if (from === undefined) return tensor;
    const { encoding: _, ...rest } = tensor;
    return { ...rest, file: checkpoint.files.length, from, to: from + valueBytes(tensor) };
  });
  return { ...checkpoint, files: [...checkpoint.files, extra], tensors };
}
