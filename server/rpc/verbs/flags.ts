import { protocols } from '../../core/evaluation/protocols';
import { scopes } from '../../core/pruning/contract';
import { providers } from '../../core/runtime/contract';
import { calibrationFlags } from '../calibrationFlags';
import { methodFlags } from '../methodFlags';
import type { Flag } from './contract';

/** Which weights are chosen, and where they compete: of `prune` and of `sweep`. */
export const selectionFlags: readonly Flag[] = [
  { name: 'scope', value: scopes.join('|'), help: "where weights compete (default: the method's own)" },
  { name: 'pattern', value: 'unstructured|N:M|RxC', help: 'N:M keeps N of every M consecutive inputs, and implies the sparsity; RxC: blocks of R outputs and C inputs go whole' },
  { name: 'include', value: 'GLOB', many: true, help: 'prune these tensors too' },
  { name: 'exclude', value: 'GLOB', many: true, help: 'leave these tensors alone' },
  ...methodFlags,
  ...calibrationFlags,
];

export const providerFlag: Flag = { name: 'provider', value: [...providers, 'auto'].join('|'), help: 'where the model runs (default: auto)' };

/** How a text is scored, and where: of `eval` and of `sweep`. */
export const windowFlags: readonly Flag[] = [
  { name: 'protocol', value: 'ID', help: `how perplexity is computed: ${protocols.map((protocol) => protocol.id).join(', ')} (default: the family's first)` },
  { name: 'context', value: 'N', help: "tokens in a window (default: the protocol's)" },
  { name: 'stride', value: 'N', help: "tokens from one window to the next (default: the protocol's)" },
  { name: 'limit', value: 'WINDOWS', help: 'only the first windows of each text' },
  providerFlag,
];
