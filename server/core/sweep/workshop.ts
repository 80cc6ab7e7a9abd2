import { rmSync, statfsSync } from 'node:fs';
import { makeCalibration } from '../calibration/calibrate';
import { makeFolder } from '../bytes/makeFolder';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import { evaluable, prepareText } from '../evaluation/prepareText';
import { tokensAtOnce } from '../evaluation/evaluateWith';
import type { PreparedText } from '../evaluation/contract';
import { besideReference } from '../graph/besideReference';
import type { GraphOptions, ModelGraph, WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { applyArchitecture, openModel } from '../models/openModel';
import { graphThresholds } from '../pruning/graphThresholds';
import { writeOverlay } from '../pruning/overlay';
import { planPrune } from '../pruning/planPrune';
import { copiesOf, pruneScope } from '../pruning/pruneScope';
import type { PrunePlan } from '../pruning/contract';
import type { Session } from '../runtime/contract';
import { checkMemory } from '../runtime/memory';
import { settleProvider } from '../runtime/providers';
import type { Settled } from '../runtime/providers';
import { withPlainWeights, type PlainModel } from '../evaluation/materialise';
import { valueBytes } from '../tensor/tensorInfo';
import { openSession } from '../runtime/session';
import type { TensorScan } from '../stats/contract';
import { scanModel } from '../stats/scan';
import { makeScratch, scratchPath } from '../temporaries';
import type { WorkerPool } from '../workers/contract';
import type { CellRuntime, CellSizes, CellSpecification } from './contract';
import { checkpointFingerprint } from './plan';
import { measureSizes } from './sizes';
import type { SizedTensor } from './sizes';

/** What a workshop works with. */
export interface WorkshopTools {
  readonly pool: WorkerPool;
  readonly io: IoMode;
  /** Pruned bytes are put into a folder below this one and removed again. */
  readonly scratch: string;
  /** What is to be said in every result, e.g. which provider `auto` came to before the cells were laid out. */
  readonly remarks?: readonly Problem[];
}

/** One state of the weights: how it was made, where its bytes lie and what they weigh. Level 0 has no plan. */
export interface PrunedWeights {
  readonly plan: PrunePlan | null;
  /** Where the pruned tensors lie, by every stored name; empty for level 0. */
  readonly overlay: ReadonlyMap<string, WeightReference>;
  readonly sizes: CellSizes;
  /** The smaller model that structured methods make, with its weights as the runtime takes them; null where every tensor keeps its shape. */
  readonly smaller: PlainModel | null;
  /** The session that evaluates it and the thresholds for it (null: a plain graph). */
  evaluator: { readonly session: Session; readonly thresholds: Float32Array | null } | null;
  /** Null until it was measured; then the times, or why there are none. */
  timed: { readonly runtime: CellRuntime | null; readonly problem: Problem | null } | null;
  readonly folder: string | null;
}

const key = (...parts: unknown[]): string => JSON.stringify(parts);

/**
 * What cells of one sweep share when they run one after another in one process: the headers, the scan, the tokenised texts,
 * the pruned bytes of the last level and open sessions. A workshop that has seen one cell gives the same results as a
 * fresh one; it is only faster.
 */
export class Workshop {
  private opened: { readonly path: string; readonly model: Model; readonly fingerprint: string } | null = null;
  private scanned: ReadonlyMap<string, TensorScan> | null = null;
  private readonly texts = new Map<string, PreparedText>();
  private current: { readonly key: string; readonly weights: PrunedWeights } | null = null;
  private plain: { readonly key: string; readonly session: Session } | null = null;
  private readonly settled = new Map<CellSpecification['provider'], Settled>();
  /** The opened model with every weight in a file as the runtime takes it. */
  private materialised: PlainModel | null = null;

  constructor(private readonly tools: WorkshopTools) {}

  /** Opens the checkpoint, once. */
  open(checkpoint: string): { readonly model: Model; readonly fingerprint: string } {
    if (this.opened?.path !== checkpoint) {
      this.materialised?.close();
      this.materialised = null;
      const model = openModel(checkpoint);
      this.opened = { path: checkpoint, model, fingerprint: checkpointFingerprint(model.checkpoint) };
      this.scanned = null;
      this.texts.clear();
    }
    return this.opened;
  }

  /** Scans of all tensors, from one pass. */
  async *scans(cell: CellSpecification, signal?: AbortSignal): Job<ReadonlyMap<string, TensorScan>> {
    const { model } = this.open(cell.checkpoint);
    this.scanned ??= yield* scanModel(model, { threshold: null, io: this.tools.io }, this.tools.pool, signal);
    return this.scanned;
  }

  /** The tokenised text, once for each benchmark. */
  text(cell: CellSpecification): PreparedText {
    const { model } = this.open(cell.checkpoint);
    const name = key(cell.benchmark, cell.protocol, cell.context, cell.stride, cell.limit, cell.dataFolder, cell.field);
    let text = this.texts.get(name);
    if (!text) this.texts.set(name, text = prepareText(model, cell));
    return text;
  }

  /** The weights of a cell: planned, written as an overlay, and weighed. Those of the last cell are kept for the next. */
  async *weights(cell: CellSpecification, signal?: AbortSignal): Job<PrunedWeights> {
    const name = key(cell.checkpoint, cell.method, cell.scope, cell.pattern, cell.level, cell.include, cell.exclude, cell.seed, cell.allocation, cell.parameters, cell.calibration, cell.provider, cell.threads, cell.context, cell.divergence ?? false);
    if (this.current?.key === name) return this.current.weights;
    await this.drop();
    const { model } = this.open(cell.checkpoint);
    this.materialised ??= yield* withPlainWeights(model, this.tools.scratch, signal);
    const scans = yield* this.scans(cell, signal);
    const request = { sparsity: cell.level, scope: cell.scope, pattern: cell.pattern, include: cell.include, exclude: cell.exclude, seed: cell.seed, ...(cell.allocation ? { allocation: cell.allocation } : {}), ...(cell.parameters ? { parameters: cell.parameters } : {}), ...(cell.calibration ? { calibration: cell.calibration } : {}) };
    // What a method wrote while planning is copied into the overlay, and goes then.
    const scratch = makeScratch(this.tools.scratch);
    const calibration = cell.calibration ? makeCalibration(model, cell.calibration, {
      pool: this.tools.pool, io: this.tools.io, folder: this.tools.scratch, key: [this.open(cell.checkpoint).fingerprint, cell.method, { ...request, calibration: null }], evaluated: new Set([this.text(cell).setup.textSha256]),
    }) : null;
    let folder: string | null = null, smaller: PlainModel | null = null;
    try {
      const plan = cell.level === 0 ? null : yield* planPrune(model, cell.method, request, this.tools.pool, { io: this.tools.io, scans, scratch, calibrate: calibration?.calibrate }, signal);
      folder = plan && plan.rules.size > 0 ? this.makeScratch(model, plan) : null;
      if (plan?.structure) smaller = yield* withPlainWeights(applyArchitecture(plan.structure.shrunk), this.tools.scratch, signal);
      const overlay = plan && folder ? yield* writeOverlay(model, plan, [...plan.rules.keys()], folder, this.tools.pool, this.tools.io, signal) : new Map<string, WeightReference>();
      scratch.remove();
      calibration?.done();
      const sized = smaller ? smallerTensors(smaller.model) : sizedTensors(this.materialised.model, cell, plan, overlay, scans);
      const sizes = yield* measureSizes(sized, { threads: cell.threads }, signal);
      const weights: PrunedWeights = { plan, overlay, sizes, smaller, evaluator: null, timed: null, folder };
      this.current = { key: name, weights };
      return weights;
    } catch (error) {
      calibration?.failed(error);
      smaller?.close();
      if (folder) rmSync(folder, { recursive: true, force: true });
      throw error;
    } finally {
      scratch.remove();
    }
  }

  /** The session that evaluates the weights: masked inside the graph where every rule is a cut, otherwise over the written bytes. */
  async evaluator(cell: CellSpecification, weights: PrunedWeights): Promise<{ readonly session: Session; readonly thresholds: Float32Array | null }> {
    if (weights.evaluator) return weights.evaluator;
    const { model } = this.open(cell.checkpoint);
    const allCuts = !weights.plan || [...weights.plan.rules.values()].every((rule) => rule.kind === 'cut');
    // Compared in the same session, whose masks hold for the pruned model alone.
    const compared = comparesPredictions(cell) ? { withLogProbabilities: true } : {};
    const beside = (pruned: ModelGraph): ModelGraph => (compared.withLogProbabilities ? besideReference(pruned, this.graph(cell, { masking: 'none', maskable: [], ...compared })) : pruned);
    if (weights.smaller) return weights.evaluator = { session: await this.session(cell, beside(smallerGraph(cell, weights.smaller, compared))), thresholds: null };
    if (!allCuts) {
      const session = await this.session(cell, beside(this.graph(cell, { masking: 'none', maskable: [], overlay: weights.overlay, ...compared })));
      return weights.evaluator = { session, thresholds: null };
    }
    const masks = weights.plan ? graphThresholds(weights.plan, model) : { thresholds: keepAll(model, cell), overlay: [] };
    const copies = copiesOf(model);
    const overlay = new Map(masks.overlay.flatMap((kept) => copies.get(kept) ?? [kept]).map((copy) => [copy, weights.overlay.get(copy)!] as const).filter(([, reference]) => reference !== undefined));
    const maskable = [...masks.thresholds.keys()];
    const graph = beside(this.graph(cell, { masking: 'thresholds', maskable, overlay, ...compared }));
    const thresholds = Float32Array.from(graph.thresholdInputs, (input) => masks.thresholds.get(input.replace(/^threshold:/, '')) ?? -1);
    return weights.evaluator = { session: await this.session(cell, graph), thresholds };
  }

  /** A session of the plain graph over the checkpoint as it is: what runtimes are compared with. */
  async baselineSession(cell: CellSpecification): Promise<Session> {
    const name = key(cell.checkpoint, cell.provider, cell.threads, cell.context);
    if (this.plain?.key !== name) {
      await this.plain?.session.close();
      this.plain = null;
      this.plain = { key: name, session: await this.session(cell, this.graph(cell, { masking: 'none', maskable: [] })) };
    }
    return this.plain.session;
  }

  /** A session of the plain graph over the pruned bytes: the same graph, but that of a smaller model where there is one. The caller closes it. */
  prunedSession(cell: CellSpecification, weights: PrunedWeights): Promise<Session> {
    if (weights.smaller) return this.session(cell, smallerGraph(cell, weights.smaller));
    return this.session(cell, this.graph(cell, { masking: 'none', maskable: [], overlay: weights.overlay }));
  }

  /** Ends the sessions and removes what was written. */
  async close(): Promise<void> {
    await this.drop();
    await this.plain?.session.close();
    this.plain = null;
    this.materialised?.close();
    this.materialised = null;
  }

  private graph(cell: CellSpecification, options: { masking: 'none' | 'thresholds'; maskable: readonly string[]; overlay?: ReadonlyMap<string, WeightReference>; withLogProbabilities?: boolean }): ModelGraph {
    const { model } = this.materialised ?? this.open(cell.checkpoint);
    return evaluable(model).buildGraph(model.checkpoint, { ...options, context: cell.context, withHits: this.text(cell).protocol.wantsHits });
  }

  /** What the result of a cell says beside what its evaluation found. */
  remarks(cell: CellSpecification): readonly Problem[] {
    const remark = this.settled.get(cell.provider)?.remark;
    return [...this.tools.remarks ?? [], ...(remark ? [remark] : [])];
  }

  private async session(cell: CellSpecification, graph: ModelGraph): Promise<Session> {
    checkMemory(graph, tokensAtOnce(this.text(cell)));
    let settled = this.settled.get(cell.provider);
    if (!settled) this.settled.set(cell.provider, settled = await settleProvider(cell.provider));
    return openSession(graph, { provider: settled.provider, threads: cell.threads, prepacking: false });
  }

  private async drop(): Promise<void> {
    const weights = this.current?.weights;
    this.current = null;
    await weights?.evaluator?.session.close();
    weights?.smaller?.close();
    if (weights?.folder) rmSync(weights.folder, { recursive: true, force: true });
  }

  private makeScratch(model: Model, plan: PrunePlan): string {
    const need = model.checkpoint.tensors.filter(({ name }) => plan.rules.has(name)).reduce((sum, info) => sum + valueBytes(info), 0);
    const { bavail, bsize } = statfsSync(this.tools.scratch);
    if (bavail * bsize < need) throw new CheckpointError('disk-full', { file: this.tools.scratch }, `the pruned tensors need ${need} bytes, ${bavail * bsize} are free`);
    const folder = scratchPath(this.tools.scratch);
    makeFolder(folder);
    return folder;
  }
}

/** Whether a cell is compared with the dense model token by token; the dense model would only meet itself. */
export const comparesPredictions = (cell: CellSpecification): boolean => (cell.divergence ?? false) && cell.level > 0;

/** The graph of a model that structured pruning has made smaller. */
const smallerGraph = (cell: CellSpecification, { model }: PlainModel, more: Partial<GraphOptions> = {}): ModelGraph =>
  evaluable(model).buildGraph(model.checkpoint, { masking: 'none', maskable: [], context: cell.context, ...more });

/** Thresholds that mask nothing, for every stored name in scope: the baseline runs in the graph of the levels. */
function keepAll(model: Model, cell: CellSpecification): ReadonlyMap<string, number> {
  const copies = copiesOf(model);
  return new Map(pruneScope(model, cell).tensors.flatMap(({ info }) => copies.get(info.name) ?? [info.name]).map((name) => [name, -1]));
}

/** Every tensor of a smaller model: what is prunable is compressed as in other cells, though nothing of it need be zero. */
function smallerTensors({ checkpoint, roles }: Model): SizedTensor[] {
  return checkpoint.tensors.map((info, i) => {
    const byteLength = valueBytes(info), base = { dtype: info.dtype, shape: info.shape, elements: info.elements, byteLength };
    return roles[i].prunable ? { ...base, nonzeros: info.elements, bytes: { realPath: checkpoint.files[info.file].realPath, from: info.from, byteLength } } : { ...base, nonzeros: null, bytes: null };
  });
}

/** Every stored tensor with its nonzeros and pruned bytes; those outside the scope stay dense. */
function sizedTensors(model: Model, cell: CellSpecification, plan: PrunePlan | null, overlay: ReadonlyMap<string, WeightReference>, scans: ReadonlyMap<string, TensorScan>): SizedTensor[] {
  const copies = copiesOf(model), inScope = new Map<string, string>();
  for (const { info } of pruneScope(model, cell).tensors) for (const copy of copies.get(info.name) ?? [info.name]) inScope.set(copy, info.name);
  const zerosAfter = new Map(plan?.tensors.map((tensor) => [tensor.name, tensor.zerosAfter]));
  return model.checkpoint.tensors.map((info) => {
    const base = { dtype: info.dtype, shape: info.shape, elements: info.elements, byteLength: valueBytes(info) };
    const kept = inScope.get(info.name);
    if (kept === undefined) return { ...base, nonzeros: null, bytes: null };
    const zeros = zerosAfter.get(kept) ?? scans.get(info.name)!.moments.zeros;
    const bytes = overlay.get(info.name) ?? { realPath: model.checkpoint.files[info.file].realPath, from: info.from, byteLength: base.byteLength };
    return { ...base, nonzeros: info.elements - zeros, bytes };
  });
}
