import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { version } from '../../../package.json';
import type { Packing } from '../../core/formats/compressed/pieces';
import { makeCalibration } from '../../core/calibration/calibrate';
import { CheckpointError } from '../../core/errors';
import { openCheckpoint } from '../../core/formats/openCheckpoint';
import { openModel } from '../../core/models/openModel';
import type { PrunePlan, PruneRequest } from '../../core/pruning/contract';
import { hashFiles, manifestFile, readManifest, requireSameSource, type PruneManifest } from '../../core/pruning/manifest';
import { storedInScope } from '../../core/pruning/maskSegments';
import { writeMasks } from '../../core/pruning/masks';
import { planPrune } from '../../core/pruning/planPrune';
import { freeSpaceAt, type PublishedFile } from '../../core/pruning/publish';
import { findMethod } from '../../core/pruning/registry';
import { compressedSize, writeCompressed } from '../../core/pruning/writeCompressed';
import { prunedTarget, weightBytes, writePruned, type WriteOptions } from '../../core/pruning/writePruned';
import { makeScratch } from '../../core/temporaries';
import { BUFFER, BUFFER_BYTES } from '../../core/kernels/layout';
import { checkpointFingerprint } from '../../core/sweep/plan';
import { makePool } from '../../core/workers/pool';
import type { PruneNeedsJson } from '../../protocol/verbs';
import { pruneJson, writtenOtherwise } from '../pruneOutput';
import { pruneText } from '../pruneText';
import { pruneRequest } from '../pruneRequest';
import type { Arguments, Verb, VerbContext } from './contract';
import { providerFlag, selectionFlags } from './flags';

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** What --format takes, and the layout it means. */
const packings = { dense: null, bitmask: 'sparse-bitmask', '24-bitmask': 'sparse-24-bitmask' } as const satisfies Record<string, Packing | null>;
type Format = keyof typeof packings;

/** `winnow prune`: writes a copy of the checkpoint in which the chosen weights are zero. */
export const prune: Verb<'prune'> = {
  name: 'prune',
  usage: 'CHECKPOINT (--sparsity S | --pattern N:M) [--method ID] [--out PATH] | --from-manifest FILE [CHECKPOINT] [--out PATH]',
  summary: 'Write a copy of a checkpoint with exactly the asked fraction of its prunable weights zero.',
  flags: [
    { name: 'sparsity', value: 'S', help: 'fraction of the weights in scope that is zero afterwards, 0 to 1' },
    { name: 'method', value: 'ID', help: 'how weights are chosen (default: magnitude; `winnow catalog` lists all)' },
    ...selectionFlags,
    { name: 'out', value: 'PATH', help: 'a folder, or a file ending in .safetensors (default: NAME-METHOD-PERCENT beside the source)' },
    { name: 'seed', value: 'N', help: 'for methods that draw (default: 0)' },
    { name: 'benchmark', value: 'ID', help: 'whose train or validation split methods are calibrated on (default: wikitext-2-raw where it is on this machine)' },
    providerFlag,
    { name: 'from-manifest', value: 'FILE', help: 'prune as a manifest says (winnow-manifest.json of an earlier output): the same bytes again' },
    { name: 'format', value: Object.keys(packings).join('|'), help: 'how the weights are stored: dense (default), or as bits and kept values in the layouts of compressed-tensors (24-bitmask: 2:4 only)' },
    { name: 'masks', value: 'PATH', help: 'write the masks too (packed bits, safetensors), for `winnow apply` and for freezing while training' },
    { name: 'dry-run', value: null, help: 'say what would change and what it takes; write nothing' },
  ],
  positional: [0, 1],

  async *run(args, context) {
    const started = performance.now();
    const { checkpoint, methodId, request, manifest, format } = wishOf(args, context);
    if (findMethod(methodId).structured && (format !== 'dense' || args.has('masks'))) throw usage(`${methodId} takes whole parts out: there are no masks, and nothing to pack (--format dense)`);
    const model = openModel(checkpoint), dry = args.has('dry-run');
    const given = args.text('out');
    const options = { out: given === undefined ? null : path.resolve(context.cwd, given), force: context.force, io: context.io, as: packings[format] === null ? 'own' : 'safetensors' } as const;
    const masks = masksTarget(args, context);
    // A dry run writes nothing: what is there is in nobody's way.
    const target = prunedTarget(model, methodId, request.sparsity, { ...options, force: options.force || dry });
    if (masks === target.path) throw usage('--masks and --out name the same file');
    const pool = makePool({ threads: context.threads }), hasher = makePool({ threads: 1 });
    const scratch = makeScratch(dry ? tmpdir() : path.dirname(target.path));
    const calibration = request.calibration ? makeCalibration(model, request.calibration, {
      pool, io: context.io, folder: dry ? tmpdir() : path.dirname(target.path), key: [checkpointFingerprint(model.checkpoint), methodId, { ...request, calibration: null }],
    }) : null;
    try {
      // Beside all the rest: most of the time the rest waits for the disk.
      const hashing = dry && !manifest ? Promise.resolve([]) : hashFiles(model.checkpoint, hasher, context.io, context.signal);
      hashing.catch(() => {});
      if (manifest) requireSameSource(manifest, model.checkpoint, await hashing);
      const plan = yield* planPrune(model, methodId, request, pool, { io: context.io, scratch, calibrate: calibration?.calibrate }, context.signal);
      if (manifest) requireSameCalibration(manifest, plan);
      if (dry) {
        calibration?.done();
        const packed = packings[format], size = packed === null ? { bytes: weightBytes(model.checkpoint), scratch: 0 } : compressedSize(model, plan, packed);
        const needs = needsOf(size, target.path, context.threads, (performance.now() - started) / 1000);
        return pruneJson(model, plan, { out: target.path, format, bytes: size.bytes, seconds: needs.planSeconds, manifest: null, masks: null, needs, problems: writtenOtherwise(model) });
      }
      let told = '';
      const packing = packings[format], writing = {
        ...options, out: target.path,
        account: async (changed: ReadonlyMap<string, number>, files: readonly PublishedFile[]) => {
          const file = manifestFile({
            winnow: version, source: { path: model.checkpoint.path, format: model.checkpoint.format, files: await hashing },
            method: methodId, request, calibration: plan.calibration ?? null, scopeParameters: plan.scopeParameters, selected: plan.selected, threshold: plan.threshold,
            tensors: plan.tensors.map((tensor) => ({ ...tensor, changed: changed.get(tensor.name) ?? 0 })), output: { format, files },
          }, target);
          told = path.join(target.kind === 'folder' ? target.path : path.dirname(target.path), file.name);
          return file;
        },
      } satisfies WriteOptions;
      const written = packing === null ? { ...yield* writePruned(model, plan, writing, pool, context.signal), problems: writtenOtherwise(model) }
        : yield* writeCompressed(model, plan, packing, { ...writing, scratch }, pool, context.signal);
      calibration?.done();
      if (masks !== null) yield* writeMasks(openCheckpoint(written.out), storedInScope(model, plan), masks, context.force, pool, context.io, context.signal);
      return pruneJson(model, plan, { ...written, format, seconds: (performance.now() - started) / 1000, manifest: told, masks });
    } catch (error) {
      calibration?.failed(error);
      throw error;
    } finally {
      await Promise.all([pool.close(), hasher.close()]);
      scratch.remove();
    }
  },
  text: (output, how) => pruneText(output, how?.verbose ?? false),
};

/** Where the masks go: a safetensors file that is not there yet, or that --force replaces. */
function masksTarget(args: Arguments, context: VerbContext): string | null {
  const text = args.text('masks');
  if (text === undefined) return null;
  const file = path.resolve(context.cwd, text);
  if (path.extname(file).toLowerCase() !== '.safetensors') throw usage(`--masks ${text}: the file of masks ends in .safetensors`);
  const there = statSync(file, { throwIfNoEntry: false });
  if (there && (there.isDirectory() || !context.force)) throw new CheckpointError('target-exists', { file }, '');
  return file;
}

interface PruneWish { readonly checkpoint: string; readonly methodId: string; readonly request: PruneRequest; readonly manifest: PruneManifest | null; readonly format: Format }

/** Flags that a manifest answers. */
const settled = ['sparsity', 'method', 'seed', 'benchmark', 'provider', ...selectionFlags.map(({ name }) => name)];

function wishOf(args: Arguments, context: VerbContext): PruneWish {
  const file = args.text('from-manifest'), word = args.positional[0];
  if (file === undefined) {
    if (word === undefined) throw usage('a word is missing: the CHECKPOINT to prune');
    const method = findMethod(args.text('method') ?? 'magnitude');
    return { checkpoint: path.resolve(context.cwd, word), methodId: method.id, request: pruneRequest(args, method, context), manifest: null, format: formatNamed(args.text('format') ?? 'dense') };
  }
  const twice = settled.find((flag) => args.has(flag));
  if (twice !== undefined) throw usage(`--${twice} stands in the manifest; leave it out, or leave --from-manifest out`);
  const manifest = readManifest(path.resolve(context.cwd, file));
  return { checkpoint: word === undefined ? manifest.source.path : path.resolve(context.cwd, word), methodId: manifest.method, request: manifest.request, manifest, format: formatNamed(args.text('format') ?? manifest.output.format) };
}

function formatNamed(text: string): Format {
  if (!Object.hasOwn(packings, text)) throw usage(`--format takes ${Object.keys(packings).join(', ')}, not \`${text}\``);
  return text as Format;
}

/** @throws CheckpointError `source-differs` when the calibration read another text than then */
function requireSameCalibration({ calibration }: PruneManifest, plan: PrunePlan): void {
  const now = plan.calibration?.textSha256, then = calibration?.textSha256;
  if (then !== now) throw new CheckpointError('source-differs', { file: plan.calibration?.text ?? calibration?.text }, then === undefined ? 'nothing was calibrated then' : now === undefined ? 'it was calibrated then' : `the calibration text is another: SHA-256 ${then.slice(0, 12)}… then`);
}

/** What an SSD of a laptop writes for long. */
const ASSUMED_BYTES_PER_SECOND = 500e6;

/** What pruning would take, from sizes; the plan is made again. */
function needsOf({ bytes, scratch }: { readonly bytes: number; readonly scratch: number }, out: string, threads: number, planSeconds: number): PruneNeedsJson {
  const diskBytes = bytes + scratch;
  return {
    diskBytes, freeDiskBytes: freeSpaceAt(out).free, memoryBytes: (threads + 1) * (BUFFER + BUFFER_BYTES), planSeconds,
    seconds: planSeconds + diskBytes / ASSUMED_BYTES_PER_SECOND, assumedBytesPerSecond: ASSUMED_BYTES_PER_SECOND,
  };
}
