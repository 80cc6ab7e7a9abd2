/** Scans of the open checkpoints. Moments and curves stay in memory; histograms go to one temporary file past a budget. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MagnitudeHistogram, Moments, TensorScan } from '../../core/stats/contract';
import { gridCounts } from './numbers';

export const MAX_HISTOGRAM_BYTES = 64 << 20;

interface Kept { scan: Omit<TensorScan, 'histogram'>; histogram: MagnitudeHistogram | null; spilled: { at: number; keys: number; values: number; space: MagnitudeHistogram['space'] } | null; readonly curve: Float64Array }

/** Bytes of a histogram in memory and on disk. */
const sizeOf = (h: MagnitudeHistogram): number => h.keys.byteLength + h.counts.byteLength + (h.values?.byteLength ?? 0);

/** One budget and one spill file for all checkpoints. */
export class HistogramBudget {
  private used = 0;
  private readonly order = new Set<Kept>();
  private file: { fd: number; folder: string; end: number } | null = null;

  constructor(private readonly maxBytes = MAX_HISTOGRAM_BYTES) {}

  get spilling(): boolean { return this.file !== null; }

  add(kept: Kept): void {
    this.used += sizeOf(kept.histogram!);
    this.order.add(kept);
    for (const oldest of this.order) { if (this.used <= this.maxBytes) break; this.spill(oldest); }
  }

  drop(kept: Kept): void {
    if (this.order.delete(kept) && kept.histogram) this.used -= sizeOf(kept.histogram);
  }

  /** Reads a spilled histogram; it stays on disk, for it is needed once in a while only. */
  load({ spilled }: Kept): MagnitudeHistogram {
    const { at, keys, values, space } = spilled!;
    const bytes = new Uint8Array(keys * 12 + values * 8);
    for (let read = 0; read < bytes.length;) {
      const got = readSync(this.file!.fd, bytes, read, bytes.length - read, at + read);
      if (got === 0) throw new Error('the temporary file of histograms was cut short');
      read += got;
    }
    // Counts first: they want alignment to 8 bytes.
    const counts = new Float64Array(bytes.buffer, 0, keys), kept = values > 0 ? new Float64Array(bytes.buffer, keys * 8, values) : undefined;
    return { space, counts, keys: new Uint32Array(bytes.buffer, (keys + values) * 8, keys), ...(kept ? { values: kept } : {}) };
  }

  close(): void {
    if (!this.file) return;
    closeSync(this.file.fd);
    rmSync(this.file.folder, { recursive: true, force: true });
    this.file = null;
  }

  private spill(kept: Kept): void {
    const h = kept.histogram!;
    if (!this.file) {
      const folder = mkdtempSync(path.join(tmpdir(), 'winnow-'));
      this.file = { fd: openSync(path.join(folder, 'histograms'), 'w+', 0o600), folder, end: 0 };
    }
    if (!kept.spilled) {
      const at = this.file.end;
      for (const part of [h.counts, h.values ?? new Float64Array(0), h.keys]) {
        const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
        for (let written = 0; written < bytes.length;) written += writeSync(this.file.fd, bytes, written, bytes.length - written, this.file.end + written);
        this.file.end += bytes.length;
      }
      kept.spilled = { at, keys: h.keys.length, values: h.values?.length ?? 0, space: h.space };
    }
    this.drop(kept);
    kept.histogram = null;
  }
}

/** The scans of one checkpoint, by tensor name. */
export class ScanStore {
  private readonly kept = new Map<string, Kept>();

  constructor(private readonly budget: HistogramBudget) {}

  get size(): number { return this.kept.size; }

  put(scan: TensorScan): void {
    const { histogram, ...rest } = scan;
    const kept: Kept = { scan: rest, histogram, spilled: null, curve: gridCounts(histogram) };
    const old = this.kept.get(scan.name);
    if (old) this.budget.drop(old);
    this.kept.set(scan.name, kept);
    this.budget.add(kept);
  }

  has(name: string): boolean { return this.kept.has(name); }
  moments(name: string): Moments | null { return this.kept.get(name)?.scan.moments ?? null; }
  curve(name: string): Float64Array | null { return this.kept.get(name)?.curve ?? null; }

  get(name: string): TensorScan | null {
    const kept = this.kept.get(name);
    return kept ? { ...kept.scan, histogram: kept.histogram ?? this.budget.load(kept) } : null;
  }

  clear(): void {
    for (const kept of this.kept.values()) this.budget.drop(kept);
    this.kept.clear();
  }
}
