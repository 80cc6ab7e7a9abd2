import type { ModelGraph, WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { GraphTensor, Provider } from '../runtime/contract';
import { openGraphSession } from '../runtime/graphSession';
import type { Segment } from './blocks';
import type { HiddenStates } from './hiddenStates';
import type { Statistics } from './statistics';
import type { CalibrationWindow } from './windows';

/** What is fed, and how far the whole calibration is: passes over all windows, of which `skipped` were done in an earlier run. */
export interface Run {
  readonly windows: readonly CalibrationWindow[];
  /** Of all windows together. */
  readonly tokens: number;
  readonly provider: Provider;
  readonly threads: number;
  readonly pass: { done: number; readonly total: number; readonly started: number; skipped: number; note: string };
}

/** Where a segment's inputs come from and what is made of its run. */
export interface SegmentWork {
  readonly before: HiddenStates | null;
  /** Null when nobody needs what crosses the boundary behind it. */
  readonly after: HiddenStates | null;
  readonly statistics: Statistics | null;
  /** Where second moments go; null for none. */
  readonly momentsFile: ((group: number) => string) | null;
  readonly overlay?: ReadonlyMap<string, WeightReference>;
}

/** Runs one segment over all windows, one at a time. A cancel is heard within one window. */
export async function* runSegment(graph: ModelGraph, segment: Segment, run: Run, { before, after, statistics, momentsFile, overlay }: SegmentWork, signal?: AbortSignal): Job<void> {
  const { windows, pass } = run, { from, to } = segment;
  const made = after ? to.filter((value) => !from.includes(value)) : [];
  const slice = graph.pieces!.builder.slice({
    inputs: from, outputs: [...made.map((value, i) => ({ name: `hidden ${i}`, value, type: 'F32' as const })), ...statistics?.outputs ?? []], overlay,
  });
  const keep = statistics?.kept ?? [];
  const session = await openGraphSession(slice.bytes, graph.root, { provider: run.provider, threads: run.threads }, signal);
  try {
    let fed = 0;
    for (const [at, window] of windows.entries()) {
      const states = { ...before?.read(at), ...ports(window) };
      const feeds = Object.fromEntries(slice.inputs.map((name) => [name, statistics?.feed(name, at === 0) ?? states[name]]));
      const { outputs } = await session.run(feeds, { keep }, signal);
      statistics?.add(outputs);
      after?.write(at, { ...states, ...Object.fromEntries(made.map((value, i) => [value, outputs[`hidden ${i}`]])) });
      fed += window.ids.length + (window.encoder?.length ?? 0);
      yield progress(run, fed);
    }
    if (momentsFile) await statistics?.save(session, momentsFile);
  } finally {
    await session.close();
  }
  pass.done++;
}

function progress({ tokens, pass }: Run, fed: number) {
  const done = pass.done * tokens + fed, total = pass.total * tokens, seconds = (performance.now() - pass.started) / 1000;
  const speed = (done - pass.skipped * tokens) / seconds, left = (total - done) / speed;
  return { stage: 'calibration', done, total, unit: 'tokens', note: `${pass.note === '' ? '' : `${pass.note}, `}${Math.round(speed)} tokens/s, ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left` } as const;
}

/** The graph's own inputs for one window; the head, where it is run, sees every position. */
function ports({ ids, encoder }: CalibrationWindow): Readonly<Record<string, GraphTensor>> {
  const row = (values: Uint32Array): GraphTensor => ({ type: 'int64', data: BigInt64Array.from(values, BigInt), dims: [1, values.length] });
  return { input_ids: row(ids), positions: row(ids.map((_, i) => i)), targets: row(ids), ...(encoder && { encoder_ids: row(encoder) }) };
}
