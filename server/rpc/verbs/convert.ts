import path from 'node:path';
import { convertCheckpoint } from '../../core/convert';
import { CheckpointError } from '../../core/errors';
import type { Problem } from '../../core/errors';
import { openCheckpoint } from '../../core/formats/openCheckpoint';
import { applyArchitecture } from '../../core/models/openModel';
import { sharedCopies } from '../../core/models/sharedCopies';
import { safetensors } from '../../core/formats/safetensors';
import type { Convertible } from '../../core/tensor/narrow';
import type { ConvertJson } from '../../protocol/verbs';
import { problemJson } from '../encode';
import { formatBytes, printable } from '../progressBar';
import { sentenceOf } from '../sentences';
import type { Arguments, Verb } from './contract';

/** What --dtype takes; F64 is only read. */
const targets: readonly Convertible[] = ['BF16', 'F16', 'F32'];

/** `winnow convert`: the same checkpoint in another container or with narrower floats. */
export const convert: Verb<'convert'> = {
  name: 'convert',
  usage: 'CHECKPOINT --to safetensors [--dtype BF16] --out PATH',
  summary: 'Write a checkpoint as safetensors, with its floats as another dtype if asked.',
  flags: [
    { name: 'to', value: 'FORMAT', help: 'the format to write: safetensors' },
    { name: 'dtype', value: targets.join('|'), help: 'floats become this, round to nearest even (default: kept)' },
    { name: 'out', value: 'PATH', help: 'a folder, or a file ending in .safetensors' },
  ],
  positional: [1, 1],

  async *run(args, context) {
    const started = performance.now();
    const out = requireText(args, 'out', 'where to write'), dtype = dtypeOf(args);
    requireFormat(requireText(args, 'to', 'the format to write, e.g. safetensors'));
    const source = openCheckpoint(path.resolve(context.cwd, args.positional[0]));
    const leftOut = sharedCopies(applyArchitecture(source), 'safetensors');
    const written = yield* convertCheckpoint(source, { out: path.resolve(context.cwd, out), force: context.force, io: context.io, dtype, leftOut }, context.signal);
    return {
      out: written.out, dtype, tensors: source.tensors.length - leftOut.size, bytes: written.bytes, seconds: (performance.now() - started) / 1000,
      problems: [...source.problems, ...written.problems].map(problemJson),
    };
  },

  text(output: ConvertJson): string {
    return [
      `${output.tensors} tensors${output.dtype === null ? '' : `, floats as ${output.dtype}`}, written in ${output.seconds.toFixed(1)} s: ${printable(output.out)} (${formatBytes(output.bytes)})`,
      ...output.problems.map((problem) => `! ${sentenceOf(problem as Problem)}`),
    ].join('\n');
  },
};

function requireText(args: Arguments, flag: string, what: string): string {
  const text = args.text(flag);
  if (text === undefined) throw new CheckpointError('usage', {}, `--${flag} is missing: ${what}`);
  return text;
}

function requireFormat(id: string): void {
  const writable = [safetensors.id];
  if (!writable.includes(id)) throw new CheckpointError('usage', {}, `--to takes ${writable.join(', ')}, not \`${id}\``);
}

function dtypeOf(args: Arguments): Convertible | null {
  const text = args.text('dtype');
  if (text === undefined) return null;
  const found = targets.find((dtype) => dtype === text.toUpperCase());
  if (!found) throw new CheckpointError('usage', {}, `--dtype takes ${targets.join(', ')}, not \`${text}\``);
  return found;
}
