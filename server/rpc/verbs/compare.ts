import path from 'node:path';
import { compareCheckpoints } from '../../core/compare';
import { openCheckpoint } from '../../core/formats/openCheckpoint';
import type { CompareJson } from '../../protocol/verbs';
import { numOrNull } from '../encode';
import { printable } from '../progressBar';
import { percent, shortNumber, table } from '../table';
import type { Verb } from './contract';

/** `winnow compare`: what differs between two checkpoints, tensor by tensor. */
export const compare: Verb<'compare'> = {
  name: 'compare',
  usage: 'A B',
  summary: 'Compare two checkpoints tensor by tensor: missing, shape, dtype, largest difference, sparsity.',
  flags: [],
  positional: [2, 2],

  async *run(args, context) {
    const [a, b] = args.positional.map((given) => openCheckpoint(path.resolve(context.cwd, given)));
    const tensors = yield* compareCheckpoints(a, b, context.io, context.signal);
    return {
      a: a.path,
      b: b.path,
      identical: tensors.every((tensor) => tensor.status === 'same'),
      tensors: tensors.map((tensor) => ({ ...tensor, maxAbsDifference: numOrNull(tensor.maxAbsDifference) })),
    };
  },
  text: compareText,
};

const words: Readonly<Record<CompareJson['tensors'][number]['status'], string>> = {
  same: 'same', differs: 'differs', 'only-in-a': 'only in A', 'only-in-b': 'only in B', 'shape-differs': 'shape differs', 'dtype-differs': 'dtype differs',
};

function compareText(output: CompareJson): string {
  const same = output.tensors.filter((tensor) => tensor.status === 'same').length;
  const others = output.tensors.filter((tensor) => tensor.status !== 'same');
  const lines = [`A ${printable(output.a)}`, `B ${printable(output.b)}`, output.identical ? `identical: all ${same} tensors have the same bytes` : `${same} of ${output.tensors.length} tensors have the same bytes`];
  if (others.length === 0) return lines.join('\n');
  return [...lines, '', table(
    [{ title: 'tensor', align: 'left' }, { title: '', align: 'left' }, { title: 'max |a - b|', align: 'right' }, { title: 'zeros in A', align: 'right' }, { title: 'zeros in B', align: 'right' }],
    others.map((tensor) => [printable(tensor.name), words[tensor.status], tensor.maxAbsDifference === null ? '' : shortNumber(tensor.maxAbsDifference), percent(tensor.sparsityA), percent(tensor.sparsityB)]),
  )].join('\n');
}
