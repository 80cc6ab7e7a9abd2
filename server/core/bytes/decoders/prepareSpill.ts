import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { throwIfCancelled } from '../../errors';
import type { TensorInfo } from '../../tensor/tensorInfo';
import type { FileStamp } from '../stamp';
import { MAX_IN_MEMORY_BYTES, spillKey } from './inflated';
import { removeAtExit, spillName } from './spill';

/**
 * Inflates a large deflated tensor into the temporary file that its reads then find, without holding the event loop: for
 * jobs that read on the main thread, where a signal is heard only between steps. What goes wrong is told by the read itself.
 *
 * @throws CheckpointError `cancelled`
 */
export async function prepareSpill(file: FileStamp, tensor: TensorInfo, signal?: AbortSignal): Promise<void> {
  const step = tensor.encoding?.[0];
  if (step?.kind !== 'inflate' || step.inflatedBytes <= MAX_IN_MEMORY_BYTES) return;
  const name = spillName(file, spillKey(tensor.from, tensor.to));
  if (existsSync(name)) return;
  throwIfCancelled(signal);
  const part = `${name}.${randomBytes(4).toString('hex')}`;
  let bytes = 0;
  const bounded = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.length;
      done(bytes > step.inflatedBytes ? new Error('more than the entry says') : null, chunk);
    },
  });
  try {
    await pipeline(createReadStream(file.realPath, { start: tensor.from, end: tensor.to - 1, highWaterMark: 2 ** 18 }), createInflateRaw({ chunkSize: 2 ** 18 }), bounded, createWriteStream(part, { flags: 'wx', mode: 0o600 }), { signal });
    if (statSync(part).size === step.inflatedBytes) {
      renameSync(part, name);
      removeAtExit();
    }
  } catch {
    throwIfCancelled(signal);
  } finally {
    rmSync(part, { force: true });
  }
}
