import { existsSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import { GraphBuilder } from '../graph/builder';
import type { ModelGraph } from '../graph/contract';
import type { Job } from '../job';
import { providers } from './contract';
import type { Provider } from './contract';
import { openSession } from './session';

/** Whether a provider works on this machine, and why not. */
export interface ProviderProbe {
  readonly provider: Provider;
  readonly available: boolean;
  /** What was tried and what came of it, e.g. `tried: no adapter` or `macOS only`. */
  readonly reason: string;
}

/** A driver that hangs must not hang the question. */
const PROBE_TIMEOUT_MS = 20_000;

/** Fastest first. CoreML is never chosen by itself: it may compute in F16. */
const preferred: readonly Provider[] = ['cuda', 'dml', 'webgpu', 'cpu'];

const platforms: Partial<Record<Provider, { readonly on: readonly NodeJS.Platform[]; readonly name: string }>> = {
  cuda: { on: ['linux', 'win32'], name: 'Linux and Windows only' },
  dml: { on: ['win32'], name: 'Windows only' },
  coreml: { on: ['darwin'], name: 'macOS only' },
};

/** The folder of onnxruntime-node's native libraries, or null when the package is not installed. */
function nativeFolder(): string | null {
  try {
    return path.join(path.dirname(require.resolve('onnxruntime-node/package.json')), 'bin/napi-v6', process.platform, process.arch);
  } catch {
    return null;
  }
}

/** A reason to not even try, or null. */
function ruledOut(provider: Provider): string | null {
  const folder = nativeFolder();
  if (!folder || !existsSync(folder)) return `onnxruntime-node has no build for ${process.platform}-${process.arch} here`;
  const platform = platforms[provider];
  if (platform && !platform.on.includes(process.platform)) return platform.name;
  const cuda = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  if (provider === 'cuda' && !existsSync(path.join(folder, cuda))) return `${cuda} is not installed beside onnxruntime-node`;
  return null;
}

/** losses = (1 + positions) as floats, by one MatMul: enough to make a provider create its device and a kernel. */
function probeGraph(): ModelGraph {
  const g = new GraphBuilder('probe');
  g.input('input_ids', 'I64', ['batch', 'length']);
  const positions = g.input('positions', 'I64', ['batch', 'scored']);
  g.input('targets', 'I64', ['batch', 'scored']);
  g.output('losses', g.op('MatMul', [g.op('Add', [g.cast(positions, 'F32'), g.float(1)]), g.floats([1], [1, 1])]), 'F32', ['batch', 'scored']);
  return { bytes: g.finish(), root: '/', thresholdInputs: [], weightBytes: 0, foldedBytes: 0, activationBytesPerToken: 0, vocabSize: 1 };
}

async function tryOne(provider: Provider): Promise<ProviderProbe> {
  const excluded = ruledOut(provider);
  if (excluded !== null) return { provider, available: false, reason: excluded };
  const late = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  try {
    const session = await openSession(probeGraph(), { provider, threads: 1, prepacking: false }, late);
    try {
      const one = BigInt64Array.of(41n);
      const { losses } = await session.run({ inputIds: one, batch: 1, length: 1, positions: one, targets: one }, null, late);
      return losses[0] === 42 ? { provider, available: true, reason: 'tried: works' } : { provider, available: false, reason: `tried: computed ${losses[0]} for 42` };
    } finally {
      await session.close();
    }
  } catch (error) {
    const why = late.aborted ? `no answer in ${PROBE_TIMEOUT_MS / 1000} s` : error instanceof CheckpointError ? error.detail : String(error);
    return { provider, available: false, reason: `tried: ${spoken(why).slice(0, 300)}` };
  }
}

/** ONNX Runtime's message without its source file, line, signature and failed condition, which say nothing to a person. */
const spoken = (message: string): string => message.split('\n')[0].replace(/^.*\b(?:was false|ORT_ENFORCE failed)\.\s*/, '').replace(/^\S*onnxruntime\S*:\d+ .*?\)(?=\s)\s*/, '').trim();

/** Tries every provider, each in a child of its own, one after the other. Never throws. */
export async function probeProviders(only: readonly Provider[] = providers): Promise<readonly ProviderProbe[]> {
  const probes: ProviderProbe[] = [];
  for (const provider of only) probes.push(await tryOne(provider));
  return probes;
}

/** What `auto` came to, or a name that works. */
export interface Settled {
  readonly provider: Provider;
  /** Which faster ones were passed over and why; null where none was, and for a name. */
  readonly remark: Problem | null;
}

/**
 * `auto` becomes the first of cuda, dml, webgpu and cpu that works; a name is tried and answered as it is.
 *
 * @throws CheckpointError `provider-unavailable` with the reason
 */
export async function settleProvider(wanted: 'auto' | Provider): Promise<Settled> {
  for await (const settled of candidates(wanted)) return settled;
  throw new CheckpointError('internal', {}, 'the CPU is always a candidate');
}

/**
 * Runs `work` on the provider that `auto` comes to; where ONNX Runtime or its child fails there, on the next one. A name is
 * never replaced by another.
 *
 * @throws CheckpointError `provider-unavailable`; what `work` throws for a name, and on the last candidate
 */
export async function* onProvider<T>(wanted: 'auto' | Provider, work: (provider: Provider) => Job<T>): Job<Settled & { readonly result: T }> {
  const failed: string[] = [];
  for await (const { provider, remark } of candidates(wanted)) {
    try {
      const result = yield* work(provider);
      return { provider, result, remark: failed.length === 0 ? remark : fallback(provider, [...failed, ...(remark ? [remark.detail] : [])]) };
    } catch (error) {
      if (wanted !== 'auto' || provider === 'cpu' || !(error instanceof CheckpointError) || !(failures as readonly string[]).includes(error.code)) throw error;
      failed.push(`${provider}: ${spoken(error.detail).slice(0, 300)}`);
    }
  }
  throw new CheckpointError('internal', {}, 'the CPU is always a candidate');
}

/** What a provider that cannot run a model fails with; everything else is about the model or the text. */
const failures = ['runtime-failed', 'child-died'] as const;

const fallback = (provider: Provider, reasons: readonly string[]): Problem => ({ code: 'provider-fallback', where: {}, detail: `${provider}; ${reasons.join('; ')}` });

/** What works, the fastest first, each with why those before it do not. Those of other systems are no candidates. */
async function* candidates(wanted: 'auto' | Provider): AsyncGenerator<Settled> {
  if (wanted === 'cpu') return yield { provider: 'cpu', remark: null };
  const reasons: string[] = [];
  for (const provider of wanted === 'auto' ? preferred : [wanted]) {
    const elsewhere = wanted === 'auto' && !(platforms[provider]?.on.includes(process.platform) ?? true);
    if (elsewhere) continue;
    const probe = provider === 'cpu' ? null : await tryOne(provider);
    if (probe === null || probe.available) yield { provider, remark: reasons.length === 0 ? null : fallback(provider, reasons) };
    else reasons.push(`${provider}: ${probe.reason}`);
  }
  if (wanted !== 'auto') throw new CheckpointError('provider-unavailable', {}, reasons.join('; '));
}

/** `settleProvider` for callers that have no place for a remark. */
export const chooseProvider = async (wanted: 'auto' | Provider): Promise<Provider> => (await settleProvider(wanted)).provider;
