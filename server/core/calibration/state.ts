import { createHash, randomBytes } from 'node:crypto';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import { readWholeText } from '../bytes/readWhole';
import { hostPart, isProcessAlive, partialPath } from '../temporaries';
import type { Shapes } from './hiddenStates';

/** What was known of a segment when it was done. */
export interface SegmentRecord {
  readonly sums: readonly { readonly names: readonly string[]; readonly rows: number; readonly sumOfSquares: Float64Array }[];
  readonly shapes: Shapes | null;
  /** See `BlockStatistics.influence`. */
  readonly influence?: number;
}

/** A host's name and a process id. */
const MAX_HOLDER_BYTES = 4096;
const MAX_RECORD_BYTES = 2 ** 30;

/**
 * What a calibration needs to go on after a kill: a folder whose name is a hash of everything that makes two calibrations the same. It holds
 * of each finished segment its statistics, and of the last one its hidden states. Two processes never share one: the second has a folder of its own.
 */
export class CalibrationState {
  readonly folder: string;

  constructor(parent: string, key: unknown) {
    const name = path.join(parent, `.calibration-${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 24)}`);
    const holder = path.join(name, 'holder');
    const [host, pid] = existsSync(holder) ? readWholeText(holder, MAX_HOLDER_BYTES).split(' ') : ['', ''];
    const isHeld = host !== '' && (host !== hostPart() || (Number(pid) !== process.pid && isProcessAlive(Number(pid))));
    this.folder = isHeld ? `${name}-${randomBytes(4).toString('hex')}` : name;
    makeFolder(this.folder);
    writeFileSync(path.join(this.folder, 'holder'), `${hostPart()} ${process.pid}`);
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** Keeps what is known of a segment; from then on it is done. */
  finish(segment: number, record: SegmentRecord): void {
    const sums = record.sums.map(({ names, rows, sumOfSquares }) => ({ names, rows, sumOfSquares: Buffer.from(sumOfSquares.buffer, sumOfSquares.byteOffset, sumOfSquares.byteLength).toString('base64') }));
    const target = this.file(`segment-${segment}.json`), beside = partialPath(target);
    writeFileSync(beside, JSON.stringify({ sums, shapes: record.shapes, influence: record.influence }));
    renameSync(beside, target);
  }

  /** What was kept of a segment that is done, else null. */
  finished(segment: number): SegmentRecord | null {
    const file = this.file(`segment-${segment}.json`);
    if (!existsSync(file)) return null;
    const { sums, shapes, influence } = JSON.parse(readWholeText(file, MAX_RECORD_BYTES)) as { sums: { names: string[]; rows: number; sumOfSquares: string }[]; shapes: Shapes | null; influence?: number };
    return { shapes, ...(influence !== undefined && { influence }), sums: sums.map((one) => ({ ...one, sumOfSquares: new Float64Array(Uint8Array.from(Buffer.from(one.sumOfSquares, 'base64')).buffer) })) };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
