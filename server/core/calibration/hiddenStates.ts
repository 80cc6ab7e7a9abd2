import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { CheckpointError } from '../errors';
import { requireSpace } from '../pruning/publish';
import type { GraphTensor } from '../runtime/contract';

/** Rows and columns of each value that crosses a boundary: those of one window, the same for every window. */
export type Shapes = Readonly<Record<string, readonly [rows: number, width: number]>>;

const bytesOf = (shapes: Shapes): number => Object.values(shapes).reduce((sum, [rows, width]) => sum + 4 * rows * width, 0);

/** The values of one boundary for all windows, F32, window after window in one file. Nothing but one window is in memory. */
export class HiddenStates {
  private handle: number | null = null;

  constructor(readonly file: string, readonly values: readonly string[], readonly windows: number, public shapes: Shapes | null = null) {}

  write(window: number, tensors: Readonly<Record<string, GraphTensor>>): void {
    if (this.shapes === null) {
      this.shapes = Object.fromEntries(this.values.map((value) => [value, [tensors[value].dims[0], tensors[value].dims[1]] as const]));
      requireSpace({ kind: 'file', path: this.file, replaces: false }, this.windows * bytesOf(this.shapes));
    }
    this.handle ??= openSync(this.file, 'w');
    let at = window * bytesOf(this.shapes);
    for (const value of this.values) {
      const { data } = tensors[value], bytes = new Uint8Array((data as Float32Array).buffer, (data as Float32Array).byteOffset, (data as Float32Array).byteLength);
      const [rows, width] = this.shapes[value];
      if (bytes.length !== 4 * rows * width) throw new CheckpointError('internal', {}, `${bytes.length} bytes of ${rows} x ${width} values`);
      for (let done = 0; done < bytes.length;) done += writeSync(this.handle, bytes, done, bytes.length - done, at + done);
      at += bytes.length;
    }
  }

  read(window: number): Readonly<Record<string, GraphTensor>> {
    if (this.shapes === null) throw new CheckpointError('internal', {}, 'hidden states that were never written');
    this.handle ??= openSync(this.file, 'r');
    let at = window * bytesOf(this.shapes);
    return Object.fromEntries(this.values.map((value) => {
      const dims = this.shapes![value], bytes = new Uint8Array(4 * dims[0] * dims[1]);
      for (let done = 0; done < bytes.length;) {
        const got = readSync(this.handle!, bytes, done, bytes.length - done, at + done);
        if (got === 0) throw new CheckpointError('short-read', { file: this.file }, `at byte ${at + done}`);
        done += got;
      }
      at += bytes.length;
      return [value, { type: 'float32', data: new Float32Array(bytes.buffer), dims }];
    }));
  }

  close(): void {
    if (this.handle !== null) closeSync(this.handle);
    this.handle = null;
  }

  remove(): void {
    this.close();
    rmSync(this.file, { force: true });
  }
}
