import type { IoMode } from '../bytes/byteSource';
import type { Model } from '../models/contract';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { PrunePlan, TensorRule } from './contract';
import { copiesOf } from './pruneScope';

/** Copies are cut into pieces, so that all workers share a large embedding and a cancel is seen. */
const COPY_BYTES = 64 * 2 ** 20;

/** A run of bytes of one file: copied as it is, or a tensor under a rule. Positions are the same in source and target. */
export type Segment =
  | { readonly kind: 'copy'; readonly from: number; readonly to: number }
  | { readonly kind: 'mask'; readonly from: number; readonly to: number; readonly info: TensorInfo; readonly rule: TensorRule };

/** The rule of every stored tensor, each copy of a tied group included, as the workers take it. */
export function rulesOfStored(model: Model, plan: PrunePlan): ReadonlyMap<string, TensorRule> {
  const copies = copiesOf(model), stored = new Map<string, TensorRule>();
  const withAllTies = namesWithAllTies(plan);
  const elements = new Map(plan.tensors.map((tensor) => [tensor.name, tensor.elements]));
  for (const [name, rule] of plan.rules) {
    // "As many ties as there are weights" means all of them, and spares the worker from counting them first.
    const told: TensorRule = rule.kind === 'cut' && withAllTies.has(name) ? { ...rule, ties: elements.get(name)! } : rule;
    for (const copy of copies.get(name) ?? [name]) stored.set(copy, told);
  }
  return stored;
}

/**
 * Tensors of which every weight at the threshold is selected. In the global scope ties are handed out in tie order until
 * none is left, so only the last tensor that got some may have got a part of its own; other scopes do not say.
 */
export function namesWithAllTies(plan: PrunePlan): ReadonlySet<string> {
  if (plan.request.scope !== 'global') return new Set();
  const tied = plan.tensors.map(({ name }) => name).filter((name) => { const rule = plan.rules.get(name); return rule?.kind === 'cut' && rule.ties > 0; });
  return new Set(tied.slice(0, -1));
}

/** One file as segments that cover each of its bytes once: header, gaps and untouched tensors are copied verbatim. */
export function segmentsOf(model: Model, file: number, rules: ReadonlyMap<string, TensorRule>): readonly Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  const copyTo = (to: number): void => {
    for (; at < to; at = Math.min(to, at + COPY_BYTES)) segments.push({ kind: 'copy', from: at, to: Math.min(to, at + COPY_BYTES) });
  };
  const masked = model.checkpoint.tensors.filter((info) => info.file === file && rules.has(info.name) && info.to > info.from);
  for (const info of masked.sort((a, b) => a.from - b.from)) {
    copyTo(info.from);
    segments.push({ kind: 'mask', from: info.from, to: info.to, info, rule: rules.get(info.name)! });
    at = info.to;
  }
  copyTo(model.checkpoint.files[file].byteLength);
  return segments;
}

/** A raw slice of bytes as a worker's source. */
export function rawSlice(model: Model, file: number, from: number, to: number, io: IoMode) {
  const { path, realPath, byteLength, mtimeMs } = model.checkpoint.files[file];
  return { file: { path, realPath, byteLength, mtimeMs }, io, dtype: 'U8', shape: [to - from], from, to } as const;
}
