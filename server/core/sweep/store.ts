import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import { readWholeText } from '../bytes/readWhole';
import { writeWhole } from '../bytes/writeWhole';
import { CheckpointError } from '../errors';
import { removeTemporaries } from '../temporaries';
import { fromJson, lossesPath, readLosses, toJson } from './cellJson';
import type { CellResult, CellSpecification, FinishedCell } from './contract';
import { cellFileName, setupDifferences } from './plan';
import type { SweepSetup } from './plan';

/**
 * The folder of a sweep. Append-only: `sweep.json` is written once, each cell adds its files, nothing is ever rewritten.
 *
 *     sweep.json                                what all cells share
 *     cells/<name>-<address>.spec.json          what is to be done
 *     cells/<name>-<address>.losses.f32         its losses, Float32 little endian
 *     cells/<name>-<address>.result.json        written last: where it is, the cell is finished
 *
 * Everything is written beside and renamed, so a kill leaves at most temporaries, which the next start removes.
 */
export interface StoreHeader {
  readonly version: 1;
  readonly winnow: string;
  /** ISO time of the first start. */
  readonly started: string;
  readonly setup: SweepSetup;
}

const HEADER = 'sweep.json';
const MAX_JSON_BYTES = 64 * 1024 * 1024;

function readHeader(folder: string): StoreHeader | null {
  const file = path.join(folder, HEADER);
  if (!existsSync(file)) return null;
  try {
    const header = fromJson(readWholeText(file, MAX_JSON_BYTES)) as StoreHeader;
    if (header?.version !== 1 || typeof header.setup !== 'object' || header.setup === null || typeof header.setup.fingerprint !== 'string') throw new Error('not the header of a sweep');
    return header;
  } catch (error) {
    throw new CheckpointError('store-broken', { file }, error instanceof CheckpointError ? error.detail : error instanceof Error ? error.message : '', { cause: error });
  }
}

/** True for a folder that a sweep was started in. */
export const isSweepFolder = (folder: string): boolean => existsSync(path.join(folder, HEADER));

/** The open folder of one sweep. */
export class SweepStore {
  private constructor(readonly folder: string, readonly header: StoreHeader) {}

  /**
   * Opens the folder for a sweep of this setup, and makes it when it is not there.
   *
   * @throws CheckpointError `sweep-differs` with the keys, `target-exists` for a folder that holds something else
   */
  static open(folder: string, setup: SweepSetup, options: { winnow: string; force: boolean }): SweepStore {
    if (existsSync(folder)) {
      const isSweep = isSweepFolder(folder);
      if (!isSweep && readdirSync(folder).some((name) => name !== 'cells' && !name.endsWith('.partial'))) throw new CheckpointError('target-exists', { file: folder }, 'it holds other files');
      const header = isSweep && !options.force ? readHeader(folder) : null;
      if (header) {
        const differing = setupDifferences(setup, header.setup);
        if (differing.length > 0) {
          const [key] = differing;
          throw new CheckpointError('sweep-differs', { file: folder, key }, `${differing.join(', ')} differ; ${key} was ${JSON.stringify(header.setup[key as keyof SweepSetup])}, now ${JSON.stringify(setup[key as keyof SweepSetup])}`);
        }
        makeFolder(path.join(folder, 'cells'));
        removeTemporaries(folder);
        removeTemporaries(path.join(folder, 'cells'));
        return new SweepStore(folder, header);
      }
      // The first start was killed before its header, or --force asks for a fresh one: only our own files go.
      removeTemporaries(folder);
      rmSync(path.join(folder, 'cells'), { recursive: true, force: true });
    }
    makeFolder(path.join(folder, 'cells'));
    const header: StoreHeader = { version: 1, winnow: options.winnow, started: new Date().toISOString(), setup };
    writeWhole(path.join(folder, HEADER), toJson(header));
    return new SweepStore(folder, header);
  }

  /** Opens a folder to read it. @throws CheckpointError `not-found`, `not-a-sweep`, `store-broken` */
  static read(folder: string): SweepStore {
    if (!existsSync(folder)) throw new CheckpointError('not-found', { file: folder }, '');
    let header: StoreHeader | null;
    try {
      header = readHeader(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') throw new CheckpointError('not-a-sweep', { file: folder }, 'it is a file');
      throw error;
    }
    if (!header) throw new CheckpointError('not-a-sweep', { file: folder }, `there is no ${HEADER}`);
    return new SweepStore(folder, header);
  }

  /** Where the result of a cell belongs. */
  resultPath(cell: CellSpecification): string {
    return path.join(this.folder, 'cells', `${cellFileName(cell, this.header.setup.fingerprint)}.result.json`);
  }

  /** Writes SPEC.json, for whoever runs the cell. */
  writeSpecification(cell: CellSpecification): string {
    const file = this.resultPath(cell).replace(/\.result\.json$/, '.spec.json');
    if (!existsSync(file)) writeWhole(file, toJson(cell));
    return file;
  }

  /** The finished cell, or null when it has to be run; files that cannot be read (torn by a crash of the machine) are removed. */
  find(cell: CellSpecification): FinishedCell | null {
    const file = this.resultPath(cell);
    if (!existsSync(file)) return null;
    try {
      return readFinished(file);
    } catch (error) {
      // A disk or permission that refuses says nothing about the result: only a broken one goes.
      if (error instanceof CheckpointError && error.code === 'not-readable') throw error;
      rmSync(file, { force: true });
      rmSync(lossesPath(file), { force: true });
      return null;
    }
  }

  /** All finished cells, in no particular order; what cannot be read is passed over. */
  all(): FinishedCell[] {
    const folder = path.join(this.folder, 'cells');
    if (!existsSync(folder)) return [];
    return readdirSync(folder).filter((name) => name.endsWith('.result.json')).sort().flatMap((name) => {
      try {
        return [readFinished(path.join(folder, name))];
      } catch {
        return [];
      }
    });
  }
}

/** Reads a RESULT.json and its losses. @throws CheckpointError `store-broken`, and what reading throws */
export function readFinished(file: string): FinishedCell {
  const result = fromJson(readWholeText(file, MAX_JSON_BYTES)) as CellResult;
  if (result?.version !== 1 || typeof result.specification !== 'object' || typeof result.bytes !== 'object' || typeof result.fingerprint !== 'string') throw new CheckpointError('store-broken', { file }, 'not the result of a cell');
  return { result, losses: readLosses(file, result) };
}
