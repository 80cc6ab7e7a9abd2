import { CheckpointError } from '../../core/errors';
import { protocols } from '../../core/evaluation/protocols';
import { scopes } from '../../core/pruning/contract';
import { providers } from '../../core/runtime/contract';
import { suggestion } from '../arguments';
import { calibrationFlags } from '../calibrationFlags';
import { methodFlags } from '../methodFlags';
import type { Arguments, Flag } from './contract';

/** Which weights are chosen, and where they compete: of `prune` and of `sweep`. */
export const selectionFlags: readonly Flag[] = [
  { name: 'scope', value: scopes.join('|'), help: "where weights compete (default: the method's own)" },
  { name: 'pattern', value: 'unstructured|N:M|RxC', help: 'N:M keeps N of every M consecutive inputs, and implies the sparsity; RxC: blocks of R outputs and C inputs go whole' },
  { name: 'include', value: 'GLOB', many: true, help: 'prune these tensors too' },
  { name: 'exclude', value: 'GLOB', many: true, help: 'leave these tensors alone' },
  ...methodFlags,
  ...calibrationFlags,
];

/** Protocols that score the lines of a JSON Lines file each by itself. */
const tasks = protocols.filter(({ reads }) => reads === 'documents' || reads === 'questions').map(({ id }) => id);

/** How a JSON Lines file is read: of `eval` and of `sweep`. */
export const lineFlags: readonly Flag[] = [
  { name: 'field', value: 'NAME', help: 'the field that holds a document in a JSON Lines file (default: text)' },
  { name: 'task', value: tasks.join('|'), help: 'score each line of a JSON Lines file by itself; the same as --protocol of that name' },
];

/** The protocol that --task or --protocol names. @throws CheckpointError `usage` */
export function protocolFlag(args: Arguments): string | undefined {
  const task = args.text('task');
  if (task === undefined) return args.text('protocol');
  if (args.has('protocol')) throw new CheckpointError('usage', {}, 'give --task or --protocol, not both: a task has its own protocol');
  if (!tasks.includes(task)) throw new CheckpointError('usage', {}, `--task takes ${tasks.join(', ')}, not \`${task}\`${suggestion(task, tasks)}`);
  return task;
}

export const providerFlag: Flag = { name: 'provider', value: [...providers, 'auto'].join('|'), help: 'where the model runs (default: auto)' };

/** How a text is scored, and where: of `eval` and of `sweep`. */
export const windowFlags: readonly Flag[] = [
  { name: 'protocol', value: 'ID', help: `how perplexity is computed: ${protocols.map((protocol) => protocol.id).join(', ')} (default: the family's first)` },
  { name: 'context', value: 'N', help: "tokens in a window (default: the protocol's)" },
  { name: 'stride', value: 'N', help: "tokens from one window to the next (default: the protocol's)" },
  { name: 'limit', value: 'WINDOWS', help: 'only the first windows of each text; the first pages, documents or questions where they are scored each by itself' },
  providerFlag,
];
