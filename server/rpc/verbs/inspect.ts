import path from 'node:path';
import { layerName, roles, type Model } from '../../core/models/contract';
import { countedAsParameters } from '../../core/models/counting';
import { openModel } from '../../core/models/openModel';
import { architectures } from '../../core/models/registry';
import type { Problem } from '../../core/errors';
import { valueBytes, type TensorInfo } from '../../core/tensor/tensorInfo';
import type { InspectJson } from '../../protocol/verbs';
import { problemJson } from '../encode';
import { formatBytes, printable } from '../progressBar';
import { sentenceOf } from '../sentences';
import { percent, shortCount, table } from '../table';
import type { Verb } from './contract';

/** `winnow inspect`: what a checkpoint holds, from its headers alone. */
export const inspect: Verb<'inspect'> = {
  name: 'inspect',
  usage: 'CHECKPOINT',
  summary: 'Show what a checkpoint holds: files, tensors, roles, problems. Reads headers only.',
  flags: [],
  positional: [1, 1],
  // Headers are read at once: there is no progress to yield.
  async *run(args, context) {
    return inspectJson(openModel(path.resolve(context.cwd, args.positional[0])));
  },
  text: inspectText,
};

/** What `inspect --json` prints. `bytes` are those of the tensors; the sizes on disk stand in `files`. */
export function inspectJson(model: Model): InspectJson {
  const { checkpoint } = model;
  const counted = countedAsParameters(model);
  const dtypes: Record<string, number> = {};
  for (const tensor of checkpoint.tensors) dtypes[tensor.dtype] = (dtypes[tensor.dtype] ?? 0) + tensor.elements;
  return {
    format: checkpoint.format,
    path: checkpoint.path,
    files: checkpoint.files.map((file) => ({ path: file.path, bytes: file.byteLength })),
    parameters: checkpoint.tensors.reduce((sum, tensor, i) => sum + (counted[i] ? tensor.elements : 0), 0),
    tensorCount: checkpoint.tensors.length,
    bytes: checkpoint.tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0),
    dtypes,
    architecture: model.architecture?.id ?? null,
    tied: model.tied.map((group) => [...group]),
    problems: model.problems.map(problemJson),
    tensors: checkpoint.tensors.map((tensor, i) => {
      const { role, layer, stack, prunable } = model.roles[i];
      return { name: tensor.name, dtype: tensor.dtype, shape: [...tensor.shape], parameters: tensor.elements, bytes: storedBytes(tensor), role, layer, ...(stack && { stack }), prunable, ...storedAs(tensor) };
    }),
    ...(checkpoint.opaque && checkpoint.opaque.length > 0 && { opaque: checkpoint.opaque.map(({ shape, ...entry }) => ({ ...entry, ...(shape && { shape: [...shape] }) })) }),
  };
}

/** Bytes of a tensor in its own type: what a quantised one takes in the file, the values of every other (a view may take less, compressed ones too). */
const storedBytes = (tensor: TensorInfo): number => (tensor.storedBits === undefined ? valueBytes(tensor) : tensor.to - tensor.from);

const storedAs = ({ storedName, storedDtype, storedBits }: TensorInfo): Pick<TensorJson, 'storedName' | 'storedDtype' | 'storedBits'> => ({ ...(storedName !== undefined && { storedName }), ...(storedDtype !== undefined && { storedDtype }), ...(storedBits !== undefined && { storedBits }) });

type TensorJson = InspectJson['tensors'][number];
const elementsOf = (tensors: readonly TensorJson[]): number => tensors.reduce((sum, tensor) => sum + tensor.parameters, 0);

function inspectText(output: InspectJson): string {
  const copies = new Set(output.tied.flatMap((group) => group.slice(1)));
  const prunable = elementsOf(output.tensors.filter((tensor) => tensor.prunable && !copies.has(tensor.name)));
  const title = architectures.find((one) => one.id === output.architecture)?.title ?? 'unknown architecture';
  const onDisk = output.files.reduce((sum, file) => sum + file.bytes, 0);
  const head = [
    path.basename(output.path), title, `${shortCount(output.parameters)} parameters (${shortCount(prunable)} prunable)`,
    Object.keys(output.dtypes).join(' + ') || 'no tensors', formatBytes(onDisk), `${output.files.length} ${output.files.length === 1 ? 'file' : 'files'}`,
  ].map(printable).join(' · ');
  const blocks = [head, roleTable(output), layerLine(output), tiedLines(output), opaqueLines(output), problemLines(output)];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

/** One row a role, in the order of the contract; stored elements, so that the rows add up to what is in the files. */
function roleTable(output: InspectJson): string {
  if (output.tensors.length === 0) return '';
  const byRole = new Map<string, TensorJson[]>(roles.map((role) => [role, []]));
  for (const tensor of output.tensors) {
    byRole.get(tensor.role)?.push(tensor);
  }
  const total = elementsOf(output.tensors);
  const row = (name: string, tensors: readonly TensorJson[]): string[] => {
    const elements = elementsOf(tensors), cut = elementsOf(tensors.filter((tensor) => tensor.prunable));
    return [name, String(tensors.length), shortCount(elements), total > 0 ? percent(elements / total) : '', cut > 0 ? shortCount(cut) : '-', [...new Set(tensors.map(({ dtype, storedDtype, storedBits }) => (storedDtype === undefined ? dtype : `${storedDtype}${storedBits === undefined ? '' : ` (${Number(storedBits.toFixed(2))} bits)`}`)))].join(' + '), shapesOf(tensors)];
  };
  return table(
    [
      { title: 'role', align: 'left' }, { title: 'tensors', align: 'right' }, { title: 'elements', align: 'right' }, { title: 'share', align: 'right' },
      { title: 'prunable', align: 'right' }, { title: 'dtype', align: 'left' }, { title: 'shape', align: 'left' },
    ],
    [...[...byRole].filter(([, tensors]) => tensors.length > 0).map(([role, tensors]) => row(role, tensors)), [...row('stored', output.tensors).slice(0, 5), '', '']],
  );
}

/** The shape that all have, or how many there are. */
function shapesOf(tensors: readonly TensorJson[]): string {
  const shapes = new Set(tensors.map((tensor) => (tensor.shape.length === 0 ? 'scalar' : tensor.shape.join(' x '))));
  return shapes.size <= 2 ? [...shapes].join(', ') : `${shapes.size} shapes`;
}

function layerLine(output: InspectJson): string {
  const sizes = new Map<string, number>();
  for (const tensor of output.tensors) {
    if (tensor.layer === null || tensor.role === 'buffer') continue;
    const name = layerName(tensor, tensor.layer);
    sizes.set(name, (sizes.get(name) ?? 0) + tensor.parameters);
  }
  if (sizes.size === 0) return '';
  let least = Infinity, most = 0;
  for (const size of sizes.values()) { least = Math.min(least, size); most = Math.max(most, size); }
  const low = shortCount(least), high = shortCount(most);
  const each = least === most ? `of ${high} parameters each` : low === high ? `of about ${high} parameters each` : `of ${low} to ${high} parameters`;
  // Two rows of blocks are told apart: `3 encoder + 3 decoder layers`.
  const stacks = [...new Set(output.tensors.filter(({ layer, role }) => layer !== null && role !== 'buffer').map(({ stack }) => stack))].sort().reverse();
  const counts = stacks.map((stack) => `${[...sizes.keys()].filter((name) => stack === undefined || name.startsWith(`${stack} `)).length}${stack === undefined ? '' : ` ${stack}`}`);
  return `${counts.join(' + ')} ${sizes.size === 1 ? 'layer' : 'layers'} ${each}`;
}

const tiedLines = (output: InspectJson): string => output.tied.map((group) => `tied: ${group.map(printable).join(' = ')}`).join('\n');

/** The parts that are no plain weights: how many of each kind, and the first few by name. */
function opaqueLines(output: InspectJson): string {
  const kinds = new Map<string, { names: string[]; count: number }>();
  for (const { section, kind, name, shape } of output.opaque ?? []) {
    const what = section === 'optimizer' ? 'optimizer state' : kind;
    const found = kinds.get(what) ?? { names: [], count: 0 };
    kinds.set(what, found);
    found.count++;
    if (found.names.length < 4) found.names.push(`${printable(name)}${shape && shape.length > 0 ? ` (${shape.join(' x ')})` : ''}`);
  }
  return [...kinds].map(([kind, { names, count }]) => `also there, ${printable(kind)}: ${names.join(', ')}${count > names.length ? ` and ${count - names.length} more` : ''}`).join('\n');
}

/** How many problems are told before they are only counted; --json has all. */
const MAX_TOLD = 20;

function problemLines(output: InspectJson): string {
  if (output.problems.length === 0) return '';
  const told = output.problems.slice(0, MAX_TOLD).map((problem) => `  ${problem.code}: ${sentenceOf(problem as Problem)}`);
  const more = output.problems.length > MAX_TOLD ? [`  and ${output.problems.length - MAX_TOLD} more (see --json)`] : [];
  return [`${output.problems.length} ${output.problems.length === 1 ? 'problem' : 'problems'}`, ...told, ...more].join('\n');
}
