import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CheckpointError } from '../errors';
import type { MagnitudeHistogram, TensorScan } from './contract';

/** Histograms of one process that stay in memory; the rest goes to disk (DESIGN section 2). */
export const MAX_HISTOGRAM_BYTES = 64 << 20;

interface Kept {
  histogram: MagnitudeHistogram | null;
  spilled: { readonly at: number; readonly keys: number; readonly values: number; readonly space: MagnitudeHistogram['space'] } | null;
}

/** Bytes of a histogram, in memory and on disk. */
const sizeOf = (h: MagnitudeHistogram): number => h.keys.byteLength + h.counts.byteLength + (h.values?.byteLength ?? 0);

/**
 * Keeps histograms in memory up to a number of bytes, the latest ones, and the others in one temporary file. The file has no
 * name where the system allows that, so that nothing is left behind by a process that is killed.
 */
export class HistogramBudget {
  private used = 0;
  private readonly order = new Set<Kept>();
  private readonly keptOf = new WeakMap<TensorScan, Kept>();
  private file: { readonly fd: number; readonly folder: string; end: number } | null = null;

  constructor(private readonly maxBytes = MAX_HISTOGRAM_BYTES) {}

  /** True once something went to disk. */
  get spilling(): boolean { return this.file !== null; }
  /** Bytes of histograms in memory. */
  get usedBytes(): number { return this.used; }

  /** The same scan, its histogram read back from disk at each look once it went there: hold the scan, not the histogram. */
  keep(scan: TensorScan): TensorScan {
    const { name, dtype, moments, above } = scan;
    const kept: Kept = { histogram: scan.histogram, spilled: null };
    const load = (): MagnitudeHistogram => kept.histogram ?? this.load(kept);
    const lazy: TensorScan = { name, dtype, moments, above, get histogram() { return load(); } };
    this.keptOf.set(lazy, kept);
    this.used += sizeOf(scan.histogram);
    this.order.add(kept);
    for (const oldest of this.order) { if (this.used <= this.maxBytes) break; this.spill(oldest); }
    return lazy;
  }

  /** Stops counting a scan that nobody needs any more. Its place on disk is not used again. */
  forget(scan: TensorScan): void {
    const kept = this.keptOf.get(scan);
    if (kept && this.order.delete(kept) && kept.histogram) this.used -= sizeOf(kept.histogram);
  }

  /** Gives the file back. Spilled histograms are gone. */
  close(): void {
    if (!this.file) return;
    closeSync(this.file.fd);
    rmSync(this.file.folder, { recursive: true, force: true });
    this.file = null;
  }

  private load({ spilled }: Kept): MagnitudeHistogram {
    if (!spilled || !this.file) throw new CheckpointError('internal', {}, 'a histogram was asked for after its store was closed');
    const { at, keys, values, space } = spilled;
    const bytes = new Uint8Array(keys * 12 + values * 8);
    for (let read = 0; read < bytes.length;) {
      const got = readSync(this.file.fd, bytes, read, bytes.length - read, at + read);
      if (got === 0) throw new CheckpointError('internal', {}, 'the temporary file of histograms was cut short');
      read += got;
    }
    // Counts first: they want alignment to 8 bytes.
    const counts = new Float64Array(bytes.buffer, 0, keys), magnitudes = values > 0 ? new Float64Array(bytes.buffer, keys * 8, values) : undefined;
    return { space, counts, keys: new Uint32Array(bytes.buffer, (keys + values) * 8, keys), ...(magnitudes ? { values: magnitudes } : {}) };
  }

  private spill(kept: Kept): void {
    const h = kept.histogram;
    if (!h) return;
    const file = this.file ??= openTemporary();
    const at = file.end;
    for (const part of [h.counts, h.values ?? new Float64Array(0), h.keys]) {
      const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      for (let written = 0; written < bytes.length;) written += writeSync(file.fd, bytes, written, bytes.length - written, file.end + written);
      file.end += bytes.length;
    }
    kept.spilled = { at, keys: h.keys.length, values: h.values?.length ?? 0, space: h.space };
    this.order.delete(kept);
    this.used -= sizeOf(h);
    kept.histogram = null;
  }
}

function openTemporary(): { fd: number; folder: string; end: number } {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-')), fd = openSync(path.join(folder, 'histograms'), 'wx+', 0o600);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // An open file goes on without its name; Windows keeps the name until it is closed.
  if (process.platform === 'win32') process.once('exit', () => { try { remove(); } catch { /* still open: the system's own clean-up finds it */ } });
  else remove();
  return { fd, folder, end: 0 };
}

/** What a command shares that scans one checkpoint and ends. */
export const processHistograms = new HistogramBudget();
