// Damages sound files and asks of every reader: the right answer or a CheckpointError, soon, and in little memory.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { openTensor } from '../../server/core/bytes/decodedSource';
import { CheckpointError } from '../../server/core/errors';
import type { Checkpoint } from '../../server/core/formats/contract';
import { openModel } from '../../server/core/models/openModel';
import { valueBytes } from '../../server/core/tensor/tensorInfo';
import { watchAllocations } from './allocations';
import { seeds, type Seed } from './seeds';

/** What an allocation may come to, besides the file's size. */
const MAX_EXTRA_BYTES = 64 * 2 ** 20;
const MAX_MS = 2000;
/** Of each tensor this much is read at both ends; zero strides may make a small file look large. */
const READ_BYTES = 2 ** 16;

/** One step of damage; positions are fractions of the file, so that they mean something after shrinking. */
export type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly mask: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'grow'; readonly at: number; readonly bytes: readonly number[] }
  | { readonly kind: 'drop'; readonly at: number; readonly length: number }
  /** A number written over whatever is there: what a length field would become. */
  | { readonly kind: 'number'; readonly at: number; readonly width: 1 | 2 | 4 | 8; readonly value: bigint; readonly little: boolean }
  /** A varint of the largest kind. */
  | { readonly kind: 'varint'; readonly at: number; readonly bytes: number };

const extremes = [0n, 1n, 127n, 128n, 255n, 256n, 65535n, 65536n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
/** Even over the file; a double would be even over its exponents, and so nearly always 0. */
const place = fc.nat(2 ** 20).map((at) => at / 2 ** 20);

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: place, mask: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('number' as const), at: place, width: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const), value: fc.constantFrom(...extremes), little: fc.boolean() }),
  fc.record({ kind: fc.constant('cut' as const), at: place }),
  fc.record({ kind: fc.constant('grow' as const), at: place, bytes: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 40 }) }),
  fc.record({ kind: fc.constant('drop' as const), at: place, length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant('varint' as const), at: place, bytes: fc.integer({ min: 1, max: 10 }) }),
);

export function apply(bytes: Uint8Array, steps: readonly Damage[]): Uint8Array {
  let now = Buffer.from(bytes);
  for (const step of steps) {
    const at = Math.min(now.length, Math.floor(step.at * (now.length + 1)));
    switch (step.kind) {
      case 'flip': if (at < now.length) now[at] ^= step.mask; break;
      case 'cut': now = now.subarray(0, at); break;
      case 'grow': now = Buffer.concat([now.subarray(0, at), Buffer.from(step.bytes), now.subarray(at)]); break;
      case 'drop': now = Buffer.concat([now.subarray(0, at), now.subarray(Math.min(now.length, at + step.length))]); break;
      case 'number': {
        const wide = Buffer.alloc(8);
        if (step.little) wide.writeBigUInt64LE(step.value); else wide.writeBigUInt64BE(step.value);
        (step.little ? wide.subarray(0, step.width) : wide.subarray(8 - step.width)).copy(now, at);
        break;
      }
      case 'varint': Buffer.from([...new Array<number>(step.bytes - 1).fill(0xff), 0x7f]).copy(now, at); break;
    }
  }
  return now;
}

/** Checks what can be checked of an answer: ranges, sizes, names, and that the values can be read or are refused. */
function look(checkpoint: Checkpoint, original: Checkpoint | null, wasCut: boolean): void {
  const names = new Set<string>();
  for (const tensor of checkpoint.tensors) {
    if (names.has(tensor.name)) throw new Error(`${tensor.name} is there twice`);
    names.add(tensor.name);
    const file = checkpoint.files[tensor.file];
    if (!(tensor.from >= 0 && tensor.from <= tensor.to && tensor.to <= file.byteLength)) throw new Error(`${tensor.name} lies at ${tensor.from} to ${tensor.to} of ${file.byteLength}`);
    if (tensor.elements !== tensor.shape.reduce((product, size) => product * size, 1) || !Number.isSafeInteger(tensor.elements)) throw new Error(`${tensor.name} has ${tensor.elements} elements in [${tensor.shape.join(', ')}]`);
    const size = valueBytes(tensor);
    if (!tensor.encoding && size !== tensor.to - tensor.from) throw new Error(`${tensor.name} takes ${tensor.to - tensor.from} bytes for ${size}`);
    try {
      const source = openTensor(file, tensor, 'pread');
      try {
        if (source.byteLength < size) throw new Error(`${tensor.name} decodes to ${source.byteLength} bytes, ${size} are needed`);
        const some = Math.min(READ_BYTES, size), into = new Uint8Array(some);
        source.read(0, some, into);
        source.read(size - some, size, into);
      } finally {
        source.close();
      }
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
    }
  }
  if (!wasCut || original === null) return;
  // A file that was only cut short is whole or refused: fewer tensors would be a wrong answer.
  const shape = (one: Checkpoint): string => JSON.stringify(one.tensors.map(({ name, dtype, shape: sizes }) => [name, dtype, sizes]));
  if (shape(checkpoint) !== shape(original)) throw new Error(`cut short, it opens with ${checkpoint.tensors.length} of ${original.tensors.length} tensors`);
}

/**
 * Cuts every seed at about `cuts` lengths and everywhere near its end: each piece is refused, or holds what the whole holds.
 *
 * @returns how many pieces were tried
 */
export function cutShort(format: string, cuts = 60): number {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-fuzz-'));
  let tried = 0;
  try {
    for (const source of seeds[format]()) {
      const file = path.join(folder, source.name);
      writeFileSync(file, source.bytes);
      const whole = openModel(file).checkpoint;
      const total = source.bytes.length, step = Math.ceil(total / cuts);
      for (let length = 0; length < total; length += length >= total - 24 ? 1 : Math.min(step, total - 24 - length), tried++) {
        writeFileSync(file, source.bytes.subarray(0, length));
        try {
          look(openModel(file).checkpoint, whole, true);
        } catch (error) {
          if (!(error instanceof CheckpointError) || error.code === 'internal') throw new Error(`${source.name} cut to ${length} bytes: ${String(error)}`, { cause: error });
        }
      }
    }
    return tried;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface FuzzOptions { readonly runs: number; readonly seed: number; readonly onRun?: (run: number) => void }

/** Runs one format. @throws with the smallest damage found that breaks a rule */
export function fuzzFormat(format: string, { runs, seed, onRun }: FuzzOptions): { readonly opened: number; readonly refused: number } {
  const sources: readonly Seed[] = seeds[format]();
  if (sources.length === 0) throw new Error(`no seed files for ${format}`);
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-fuzz-')), count = { opened: 0, refused: 0 };
  const originals = sources.map((source) => {
    const file = path.join(folder, source.name);
    writeFileSync(file, source.bytes);
    const model = openModel(file);
    if (model.checkpoint.format !== format) throw new Error(`the seed ${source.name} is ${model.checkpoint.format}, not ${format}`);
    return model.checkpoint;
  });
  const watch = watchAllocations();
  let run = 0;
  try {
    fc.assert(fc.property(fc.nat(sources.length - 1), fc.array(damage, { minLength: 1, maxLength: 4 }), (which, steps) => {
      watch.limit(Infinity);
      const source = sources[which], bytes = apply(source.bytes, steps), file = path.join(folder, source.name);
      writeFileSync(file, bytes);
      onRun?.(++run);
      watch.limit(MAX_EXTRA_BYTES + bytes.length);
      const started = performance.now();
      try {
        const model = openModel(file);
        count.opened++;
        look(model.checkpoint, originals[which], steps.every((step) => step.kind === 'cut'));
      } catch (error) {
        watch.limit(Infinity);
        if (!(error instanceof CheckpointError)) throw error;
        if (error.code === 'internal') throw new Error(`internal: ${error.message}`, { cause: error });
        count.refused++;
      } finally {
        watch.limit(Infinity);
      }
      const ms = performance.now() - started;
      if (ms > MAX_MS) throw new Error(`it took ${ms.toFixed(0)} ms`);
    }), { numRuns: runs, seed, endOnFailure: runs > 5000 });
    return count;
  } finally {
    watch.restore();
    rmSync(folder, { recursive: true, force: true });
  }
}
