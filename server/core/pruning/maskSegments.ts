import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import type { FileLayout } from '../formats/writeSafetensors';
import type { Model } from '../models/contract';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { SliceSource } from '../workers/contract';
import { tensorSource } from '../workers/slices';
import type { PrunePlan, TensorRule } from './contract';
import { copiesOf } from './pruneScope';

/** Copies are cut into pieces, so that all workers share a large embedding and a cancel is seen. */
const COPY_BYTES = 64 * 2 ** 20;

/**
 * Bytes [from, to) of source file `file`, for byte `at` of the target file: as they are, or a tensor under a rule. With an
 * `info` they are bytes of that tensor's decoded values.
 */
interface Bytes { readonly file: number; readonly from: number; readonly to: number; readonly at: number }
export type Segment = (Bytes & { readonly kind: 'copy'; readonly info?: TensorInfo }) | (Bytes & { readonly kind: 'mask'; readonly info: TensorInfo; readonly rule: TensorRule });

/** The part of a plan that says what becomes of each tensor. */
export type PlanRules = Pick<PrunePlan, 'rules' | 'tensors'> & { readonly request: Pick<PrunePlan['request'], 'scope'> };

/** The rule of every stored tensor, each copy of a tied group included, as the workers take it. */
export function rulesOfStored(model: Model, plan: PlanRules): ReadonlyMap<string, TensorRule> {
  const copies = copiesOf(model), stored = new Map<string, TensorRule>();
  const withAllTies = namesWithAllTies(plan);
  const elements = new Map(plan.tensors.map((tensor) => [tensor.name, tensor.elements]));
  for (const [name, rule] of plan.rules) {
    // "As many ties as there are weights" means all of them, and spares the worker from counting them first.
    const told = withAllTies.has(name) ? withTies(rule, elements.get(name)!) : rule;
    for (const copy of copies.get(name) ?? [name]) stored.set(copy, told);
  }
  return stored;
}

type Cut = Extract<TensorRule, { kind: 'cut' }>;

/** The cut that a rule makes, among weights, scores or blocks; null for rules without one. */
function cutOf(rule: TensorRule): Cut | null {
  if (rule.kind === 'cut') return rule;
  return (rule.kind === 'scored' || rule.kind === 'blocks') && rule.by.kind === 'cut' ? rule.by : null;
}

function withTies(rule: TensorRule, ties: number): TensorRule {
  const cut = cutOf(rule);
  if (cut === null) return rule;
  return rule.kind === 'cut' ? { ...rule, ties } : { ...rule, by: { ...cut, ties } } as TensorRule;
}

/** Stored names of the tensors in scope, every copy of a tied one. */
export function storedInScope(model: Model, plan: PrunePlan): readonly string[] {
  const copies = copiesOf(model);
  return plan.tensors.flatMap(({ name }) => copies.get(name) ?? [name]);
}

/**
 * Tensors of which every weight at the threshold is selected. In the global scope ties are handed out in tie order until
 * none is left, so only the last tensor that got some may have got a part of its own; other scopes do not say.
 */
export function namesWithAllTies(plan: PlanRules): ReadonlySet<string> {
  if (plan.request.scope !== 'global') return new Set();
  const tied = plan.tensors.map(({ name }) => name).filter((name) => { const rule = plan.rules.get(name); return rule !== undefined && (cutOf(rule)?.ties ?? 0) > 0; });
  return new Set(tied.slice(0, -1));
}

/**
 * One file as segments: its header goes ahead, then every tensor that the checkpoint uses, copied or under its rule.
 * Neighbours that are copied are joined, and cut again into pieces that all workers can share.
 */
export function segmentsOf(model: Model, file: number, layout: FileLayout, rules: ReadonlyMap<string, TensorRule>): readonly Segment[] {
  if (layout.inPlace) return segmentsInPlace(model, file, layout, rules);
  const segments: Segment[] = [];
  let run: Run | null = null as Run | null;
  const flush = (): void => {
    for (let done = 0; run && done < run.to - run.from; done += COPY_BYTES) {
      segments.push({ kind: 'copy', file, from: run.from + done, to: Math.min(run.to, run.from + done + COPY_BYTES), at: run.at + done });
    }
    run = null;
  };
  const inFile = model.checkpoint.tensors.filter((info) => info.file === file && info.elements > 0).sort((a, b) => a.from - b.from);
  for (const info of inFile) {
    const place = layout.places.get(info.name);
    // Left out: the tensor that it shares its bytes with stands for it.
    if (!place) continue;
    const at = place.from, rule = rules.get(info.name), { from, to } = info;
    if (rule) { flush(); segments.push({ kind: 'mask', file, from: 0, to: valueBytes(info), at, info, rule }); continue; }
    if (info.encoding) {
      flush();
      for (let done = 0, size = valueBytes(info); done < size; done += COPY_BYTES) segments.push({ kind: 'copy', file, info, from: done, to: Math.min(size, done + COPY_BYTES), at: at + done });
      continue;
    }
    if (run && run.to === from && run.at + from - run.from === at) run.to = to;
    else { flush(); run = { from, to, at }; }
  }
  flush();
  return segments;
}

/** A file that is copied whole but for its tensors under a rule. Those that share their bytes are written once. */
function segmentsInPlace(model: Model, file: number, layout: FileLayout, rules: ReadonlyMap<string, TensorRule>): readonly Segment[] {
  const segments: Segment[] = [];
  let end = 0;
  const copyTo = (to: number): void => {
    for (; end < to; end = Math.min(to, end + COPY_BYTES)) segments.push({ kind: 'copy', file, from: end, to: Math.min(to, end + COPY_BYTES), at: end });
  };
  for (const info of model.checkpoint.tensors.filter((one) => one.file === file && one.elements > 0 && rules.has(one.name)).sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (info.encoding) throw new CheckpointError('unsupported-dtype', { file: model.checkpoint.files[file].path, tensor: info.name }, 'its values are packed in the graph');
    if (info.to <= end) continue;
    if (info.from < end) throw new CheckpointError('overlap', { file: model.checkpoint.files[file].path, tensor: info.name }, 'tensors that share a part of their bytes cannot be pruned');
    const other = model.checkpoint.tensors.find((one) => one.file === file && !rules.has(one.name) && one.from < info.to && one.to > info.from);
    if (other) throw new CheckpointError('overlap', { file: model.checkpoint.files[file].path, tensor: info.name }, `${other.name} shares its bytes and is not pruned`);
    copyTo(info.from);
    segments.push({ kind: 'mask', file, from: 0, to: valueBytes(info), at: info.from, info, rule: rules.get(info.name)! });
    end = info.to;
  }
  copyTo(layout.byteLength);
  return segments;
}

interface Run { from: number; to: number; at: number }

/** Bytes [from, to) of one file as they are, for a worker. */
export function rawSource(model: Model, { file, from, to, info }: Pick<Segment, 'file' | 'from' | 'to' | 'info'>, io: IoMode): SliceSource {
  if (info) return { ...tensorSource(model.checkpoint, info, io), dtype: 'U8', shape: [to - from], from, to };
  const { path, realPath, byteLength, mtimeMs } = model.checkpoint.files[file];
  return { file: { path, realPath, byteLength, mtimeMs }, io, dtype: 'U8', shape: [to - from], from, to };
}
