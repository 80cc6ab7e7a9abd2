/** What the engine child serves: facts, rows, scans, curves, bars and cuts of checkpoints. No documents, no jobs. */
import path from 'node:path';
import type { IoMode } from '../../core/bytes/byteSource';
import { CheckpointError } from '../../core/errors';
import { shownName } from '../../core/formats/names';
import { shownDtype } from '../../core/tensor/tensorInfo';
import { HistogramBudget } from '../../core/stats/histogramBudget';
import type { WorkerPool } from '../../core/workers/contract';
import { structureTensor } from '../../core/workers/tensorTasks';
import { MAX_IDS, type Curve, type Facts, type HistogramBars } from '../../protocol/editor';
import { problemJson } from '../encode';
import type { Emit, Handlers } from '../ipc';
import { sentenceOf } from '../sentences';
import { exactCut, sourceOf } from './cut';
import { barsOf, encodeCurve } from './numbers';
import { OpenModels, type OpenModel } from './openModels';
import { locate, rowsOf } from './tree';
import { elementsOf, heatRow, type ViewTensor } from './view';

export interface EngineTools { readonly pool: WorkerPool; readonly io: IoMode; readonly emit: Emit; readonly budget?: HistogramBudget }

/** How often files of open checkpoints are looked at, and how often progress is told. */
const WATCH_MS = 2_000, PROGRESS_MS = 100;
const MAX_BARS = 512;

/** @returns the handlers, and how to let go of what they hold */
export function makeHandlers({ pool, io, emit, budget = new HistogramBudget() }: EngineTools): { handlers: Handlers; close(): void } {
  const models = new OpenModels(budget, (changed) => emit('checkpointChanged', { path: changed }));
  const watcher = setInterval(() => models.check(), WATCH_MS);
  watcher.unref();
  const open = (target: string): OpenModel => {
    if (typeof target !== 'string' || !path.isAbsolute(target)) throw new CheckpointError('usage', { file: String(target) }, 'the path has to be absolute');
    return models.get(target);
  };
  const scanned = async (target: string, signal: AbortSignal): Promise<OpenModel> => {
    const opened = open(target);
    if (!opened.scanned) await scan(opened, signal);
    return opened;
  };
  const scan = async (opened: OpenModel, signal: AbortSignal): Promise<void> => {
    const started = performance.now(), total = opened.bytes;
    let toldMs = -Infinity;
    await opened.scan(pool, io, signal, ({ done }) => {
      const now = performance.now();
      if (now - toldMs < PROGRESS_MS && done < total) return;
      toldMs = now;
      emit('scanProgress', { path: opened.path, done, total, bytesPerSecond: now > started ? done / ((now - started) / 1000) : 0 });
    });
  };
  const nodeOf = (opened: OpenModel, id: string): readonly ViewTensor[] => {
    const tensors = opened.view.tensorsOf(id);
    if (!tensors) throw new CheckpointError('tensor-missing', { file: opened.path, tensor: id.slice(2) }, 'no such part of this checkpoint');
    return tensors;
  };

  const handlers: Handlers = {
    inspect: ({ path: target }) => factsOf(open(target)),
    rows: (params) => { const opened = open(params.path); return rowsOf(opened.view, params, opened.statsOf); },
    locate: (params) => locate(open(params.path).view, params),
    async scan({ path: target }, signal) {
      const opened = open(target), cached = opened.scanned;
      if (!cached) await scan(opened, signal);
      return { seconds: opened.scanSeconds, bytes: opened.bytes, cached };
    },
    curves({ path: target, ids }) {
      const opened = open(target), curves: Curve[] = [];
      for (const id of ids.slice(0, MAX_IDS)) {
        const tensors = opened.view.tensorsOf(id) ?? [], counts = tensors.map(({ info }) => opened.scans.curve(info.name));
        if (tensors.length > 0 && counts.every((curve) => curve !== null)) curves.push({ id, base64: encodeCurve(counts as Float64Array[], elementsOf(tensors)) });
      }
      return { curves };
    },
    async histogram({ path: target, id, bars }, signal) {
      const opened = await scanned(target, signal);
      return await histogramOf(opened, id, nodeOf(opened, id), Math.max(1, Math.min(MAX_BARS, Math.trunc(bars) || 1)), pool, io, signal);
    },
    async cut(params, signal) { return await exactCut(await scanned(params.path, signal), params, { pool, io, signal }); },
  };
  return { handlers, close: () => { clearInterval(watcher); budget.close(); } };
}

/** Entries named one by one; the rest is counted. */
const MAX_OPAQUE = 200;

function factsOf(opened: OpenModel): Facts {
  const { model, view } = opened, { checkpoint } = model;
  const dtypes: Record<string, number> = {};
  for (const tensor of checkpoint.tensors) dtypes[shownDtype(tensor)] = (dtypes[shownDtype(tensor)] ?? 0) + tensor.elements;
  const opaque = checkpoint.opaque ?? [];
  const files = checkpoint.files.map((file) => ({ path: file.path, bytes: file.byteLength }));
  return {
    name: checkpoint.name, path: opened.path, format: checkpoint.format, files, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    parameters: elementsOf(view.tensorsOf('all') ?? []), prunableParameters: elementsOf(view.tensorsOf('prunable') ?? []),
    storedElements: checkpoint.tensors.reduce((sum, { elements }) => sum + elements, 0), tensorCount: checkpoint.tensors.length, dtypes,
    architecture: model.architecture?.id ?? null, architectureTitle: model.architecture?.title ?? null,
    problems: model.problems.map((problem) => ({ ...problemJson(problem), sentence: sentenceOf(problem) })),
    heat: {
      roles: [...view.heat.roles], layers: [...view.heat.layers],
      cells: [...view.heat.cells.values()].map((tensors) => ({ role: heatRow(tensors[0].role), layer: tensors[0].role.layer!, parameters: elementsOf(tensors), tensors: tensors.length })),
    },
    ...(opaque.length > 0 && { opaque: opaque.slice(0, MAX_OPAQUE).map(({ name, kind, shape, detail }) => ({ name: shownName(name), kind, detail, shape: shape ? [...shape] : null })), opaqueCount: opaque.length }),
    fingerprint: opened.fingerprint, scanned: opened.scanned,
  };
}

async function histogramOf(opened: OpenModel, id: string, tensors: readonly ViewTensor[], bars: number, pool: WorkerPool, io: IoMode, signal: AbortSignal): Promise<HistogramBars> {
  const scans = tensors.map(({ info }) => opened.scans.get(info.name)!), stats = opened.statsOf(tensors);
  if (!stats) throw new CheckpointError('internal', { file: opened.path }, `${id} has no tensors`);
  const single = tensors.length === 1 ? tensors[0] : null, dtypes = new Set(tensors.map(({ info }) => shownDtype(info)));
  return {
    id, title: id === 'all' ? 'All parameters' : id === 'prunable' ? 'Prunable weights' : id.startsWith('c:') ? id.slice(2).replace('|', ', layer ') : id.slice(2),
    shape: single ? [...single.info.shape] : null, dtype: dtypes.size === 1 ? [...dtypes][0] : 'mixed',
    ...barsOf(scans, bars), stats, extra: await extraOf(opened, single, stats.zeros, pool, io, signal),
  };
}

/** Dead rows and what already holds 2:4. Where nothing is zero both are 0 without a look at the weights. */
async function extraOf(opened: OpenModel, tensor: ViewTensor | null, zeros: number, pool: WorkerPool, io: IoMode, signal: AbortSignal): Promise<HistogramBars['extra']> {
  const nothing = { deadRows: null, rows: null, twoFourReady: null };
  if (!tensor || tensor.role.orientation === null || tensor.info.shape.length !== 2 || tensor.info.elements === 0) return nothing;
  const { shape, name } = tensor.info, rows = tensor.role.orientation === 'out-in' ? shape[0] : shape[1];
  if (zeros === 0) return { deadRows: 0, rows, twoFourReady: 0 };
  let structure = opened.structures.get(name);
  if (!structure) {
    try {
      structure = await structureTensor(pool, sourceOf(opened, name, io), tensor.role.orientation, signal);
    } catch (error) {
      // Some dtypes have no such count: the histogram is worth showing without it.
      if (error instanceof CheckpointError && error.code === 'unsupported-dtype') return { ...nothing, rows };
      throw error;
    }
    opened.structures.set(name, structure);
  }
  return { deadRows: structure.deadRows, rows: structure.rows, twoFourReady: structure.groups > 0 ? structure.ready / structure.groups : null };
}
