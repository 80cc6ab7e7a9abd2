import { realpathSync, rmSync, statSync } from 'node:fs';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError, throwIfCancelled } from '../errors';
import { withPlainWeights } from '../evaluation/materialise';
import { evaluable } from '../evaluation/prepareText';
import { tokenizerOf } from '../evaluation/tokenizer';
import type { ModelGraph, WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorRule } from '../pruning/contract';
import { writeOverlay } from '../pruning/overlay';
import { copiesOf } from '../pruning/pruneScope';
import type { Provider } from '../runtime/contract';
import { checkMemory } from '../runtime/memory';
import { chooseProvider } from '../runtime/providers';
import type { WorkerPool } from '../workers/contract';
import { segmentsOf } from './blocks';
import type { Segment } from './blocks';
import type { BlockStatistics, Calibrate, CalibrationRequest, CalibrationSummary, InputStatistics, StatisticsKind } from './contract';
import { HiddenStates } from './hiddenStates';
import { influenceOf } from './influence';
import { runSegment } from './runSegment';
import type { Run } from './runSegment';
import { CalibrationState } from './state';
import type { SegmentRecord } from './state';
import { Statistics } from './statistics';
import { readCalibrationText } from './text';
import { calibrationWindows } from './windows';

/** The longest window that is taken where none is asked for, as the published code has it. */
const DEFAULT_LENGTH = 2048;

export interface CalibrationTools {
  readonly pool: WorkerPool;
  readonly io: IoMode;
  /** Where hidden states and what is needed to go on after a kill are put: an existing folder with room for them. */
  readonly folder: string;
  /** Everything besides the calibration's own request on which pruned blocks depend: checkpoint, method, pruning. */
  readonly key: unknown;
  /** SHA-256 of texts that are evaluated. */
  readonly evaluated?: ReadonlySet<string>;
}

/**
 * Runs calibrations for one pruning. `done` removes what was kept for going on after a kill, once the pruning has no more need of it; `failed` does
 * where the same would only fail again, and keeps it for a cancel, a child that died and a full disk.
 */
export interface Calibration { readonly calibrate: Calibrate; done(): void; failed(error: unknown): void }

/** After these the same command may well go on. */
const PASSING: ReadonlySet<string> = new Set(['cancelled', 'child-died', 'disk-full', 'out-of-memory']);

/** @returns a calibration that has not read anything yet */
export function makeCalibration(model: Model, request: CalibrationRequest, tools: CalibrationTools): Calibration {
  const states: CalibrationState[] = [];
  let calls = 0;
  const done = (): void => { for (const state of states) state.remove(); };
  return {
    calibrate: async function* (needs, names, prune, signal, dense) {
      return yield* calibrate(model, request, tools, { needs, names, prune, dense: dense !== undefined || request.oneShot, call: calls++, states }, signal);
    },
    done,
    failed: (error) => { if (!(error instanceof CheckpointError) || !PASSING.has(error.code)) done(); },
  };
}

interface Wish {
  readonly needs: StatisticsKind;
  readonly names: ReadonlySet<string>;
  readonly prune: Parameters<Calibrate>[2];
  /** One pass of the model as it is. */
  readonly dense: boolean;
  readonly call: number;
  readonly states: CalibrationState[];
}

async function* calibrate(model: Model, request: CalibrationRequest, tools: CalibrationTools, wish: Wish, signal?: AbortSignal): Job<CalibrationSummary> {
  const architecture = evaluable(model), config = model.checkpoint.config ?? {}, where = { file: model.checkpoint.path };
  const text = await readCalibrationText(request, tools.evaluated ?? new Set());
  const most = architecture.maxContext(config), length = request.length ?? Math.min(most, DEFAULT_LENGTH);
  if (length > most) throw new CheckpointError('context-too-long', where, `calibration windows of ${length}, the model has ${most} positions`);
  yield { stage: 'calibration', done: 0, total: null, unit: 'tokens', note: 'reading the text' };
  const windows = calibrationWindows(text.text, architecture.kind, tokenizerOf(model.checkpoint), config, { ...request, length });
  throwIfCancelled(signal);
  const provider = await chooseProvider(request.provider);
  const plain = yield* withPlainWeights(model, tools.folder, signal);
  try {
    const graph = architecture.buildGraph(plain.model.checkpoint, { masking: 'none', maskable: [], context: length, plainAttention: provider !== 'cpu' });
    const summary: CalibrationSummary = {
      text: text.name, textSha256: text.sha256, samples: windows.length, length, seed: request.seed, oneShot: request.oneShot, provider,
      tokens: windows.reduce((sum, { ids, encoder }) => sum + ids.length + (encoder?.length ?? 0), 0),
    };
    const state = new CalibrationState(tools.folder, [tools.key, { ...summary, text: '' }, wish.needs, [...wish.names].sort(), wish.call]);
    wish.states.push(state);
    yield* runBlocks(model, graph, { windows, tokens: summary.tokens, provider, threads: request.threads, length }, tools, wish, state, signal);
    return summary;
  } finally {
    plain.close();
  }
}

interface Feeding extends Omit<Run, 'pass'> { readonly provider: Provider; readonly length: number }

/** Block after block: statistics, pruning, and the block again as it is pruned. */
export async function* runBlocks(model: Model, graph: ModelGraph, feeding: Feeding, tools: CalibrationTools, wish: Wish, state: CalibrationState, signal?: AbortSignal): Job<void> {
  if (!graph.pieces) throw new CheckpointError('calibration-impossible', { file: model.checkpoint.path }, 'its blocks are not known');
  const copies = copiesOf(model), stored = new Set(model.checkpoint.tensors.map(({ name }) => name));
  const keptName = (name: string): string => (copies.get(name) ?? [name]).find((copy) => stored.has(copy)) ?? name;
  const segments = segmentsOf(graph.pieces, (name) => wish.names.has(keptName(name))), blocks = segments.filter(({ taps }) => taps.size > 0).length;
  // A segment runs once for its statistics, and once more for what the next one sees.
  const passes = segments.map(({ taps }, i) => (taps.size > 0 && i < segments.length - 1 && !wish.dense ? 2 : 1));
  const pass = { done: 0, total: passes.reduce((a, b) => a + b, 0), started: performance.now(), skipped: 0, note: '' };
  let before: HiddenStates | null = null, block = 0;
  for (const [i, segment] of segments.entries()) {
    const isBlock = segment.taps.size > 0, isLast = i === segments.length - 1;
    const momentsFile = (group: number): string => state.file(`moments-${i}-${group}.f32`);
    const statisticsOf = (record: SegmentRecord): BlockStatistics => ({ block, blocks, inputs: inputsOf(record, wish, keptName, momentsFile), ...(wish.dense && { influence: record.influence ?? null }) });
    pass.note = isBlock ? `block ${block + 1} of ${blocks}` : '';
    const known = state.finished(i);
    // Of a segment that was done in an earlier run, the hidden states are there only if it was the last that was.
    const after = isLast && !(wish.dense && segment.to.length > 0) ? null : new HiddenStates(state.file(`hidden-${i}.f32`), segment.to, feeding.windows.length, known?.shapes);
    if (known) {
      if (isBlock) yield* wish.prune(statisticsOf(known));
      pass.done += passes[i];
      pass.skipped += passes[i];
    } else {
      const statistics = isBlock ? new Statistics(graph.pieces.builder, segment, String(i), wish.needs, feeding.provider === 'cpu') : null;
      refuseTooLarge(graph, segment, statistics, wish.needs, model, feeding.length);
      const goesOn = passes[i] === 1;
      yield* runSegment(graph, segment, { ...feeding, pass }, { before, after: goesOn ? after : null, statistics, momentsFile: wish.needs === 'hessians' ? momentsFile : null }, signal);
      const influence = isBlock && wish.dense && before && after ? influenceOf(before, after) : null;
      const record = { sums: statistics?.sums ?? [], shapes: null, ...(influence !== null && { influence }) };
      if (isBlock) {
        const rules = yield* wish.prune(statisticsOf(record));
        if (!goesOn && after) {
          const overlay = yield* overlayOf(model, rules, state.folder, tools, signal);
          yield* runSegment(graph, segment, { ...feeding, pass }, { before, after, statistics: null, momentsFile: null, overlay: overlay.references }, signal);
          overlay.remove();
        }
      }
      after?.close();
      state.finish(i, { ...record, shapes: after?.shapes ?? null });
    }
    before?.remove();
    before = after;
    if (isBlock) block++;
  }
  before?.remove();
}

/** By kept name, what each matrix of a block was fed. */
function inputsOf({ sums }: SegmentRecord, { needs, names: wanted }: Wish, keptName: (name: string) => string, momentsFile: (group: number) => string): ReadonlyMap<string, InputStatistics> {
  const inputs = new Map<string, InputStatistics>();
  for (const [group, { names, rows, sumOfSquares }] of sums.entries()) {
    const secondMoments = needs === 'norms' ? null : { realPath: realpathSync(momentsFile(group)), from: 0, byteLength: statSync(momentsFile(group)).size };
    for (const name of names) {
      const tensor = keptName(name);
      if (wanted.has(tensor)) inputs.set(tensor, { tensor, inputs: sumOfSquares.length, rows, sumOfSquares, secondMoments });
    }
  }
  return inputs;
}

/** The bytes of a block under its rules, for its second run. */
async function* overlayOf(model: Model, rules: ReadonlyMap<string, TensorRule>, folder: string, { pool, io }: CalibrationTools, signal?: AbortSignal): Job<{ references: ReadonlyMap<string, WeightReference>; remove(): void }> {
  const references = yield* writeOverlay(model, { rules, tensors: [], request: { scope: 'tensor' } }, [...rules.keys()], folder, pool, io, signal);
  return { references, remove: () => { for (const file of new Set([...references.values()].map(({ realPath }) => realPath))) rmSync(file, { force: true }); } };
}

/** Memory is that of one block: its weights, the values of one window, and its second moments, before and after a window. */
function refuseTooLarge(graph: ModelGraph, { from, to }: Segment, statistics: Statistics | null, needs: StatisticsKind, model: Model, length: number): void {
  const { weightBytes } = graph.pieces!.builder.slice({ inputs: from, outputs: (to.length > 0 ? to.filter((value) => !from.includes(value)) : ['losses']).map((value, i) => ({ name: `out ${i}`, value, type: 'F32' })) });
  const byName = new Map(model.checkpoint.tensors.map((info, i) => [info.name, { info, role: model.roles[i] }]));
  const widths = needs === 'norms' ? [] : (statistics?.sums ?? []).map(({ names: [name] }) => {
    const { info: { shape }, role } = byName.get(name)!;
    return shape[role.orientation === 'in-out' ? shape.length - 2 : shape.length - 1];
  });
  const moments = widths.reduce((sum, width) => sum + 8 * width * width, 0);
  checkMemory({ ...graph, weightBytes, foldedBytes: graph.foldedBytes + moments }, length);
}
