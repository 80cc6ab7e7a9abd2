import type { Checkpoint } from '../formats/contract';
import type { ModelGraph, GraphOptions } from '../graph/contract';

/**
 * What a tensor does. `buffer` values are not parameters (causal masks, position ids, inverse frequencies).
 * `expert.*` are the matrices of one of many MLPs, `router` chooses among them. `vision`
 * is all that sees in a model of text and pictures. Later families add roles here; views take the list from the `catalog`.
 */
export const roles = [
  'embedding', 'position', 'attention.qkv', 'attention.query', 'attention.key', 'attention.value', 'attention.out',
  'mlp.gate', 'mlp.up', 'mlp.down', 'expert.gate', 'expert.up', 'expert.down', 'router', 'norm', 'bias', 'head', 'vision', 'buffer', 'other',
] as const;
export type Role = (typeof roles)[number];

/** The two rows of blocks of an encoder-decoder. */
export type Stack = 'encoder' | 'decoder';

/** What a layer is called where numbers alone would merge two rows of blocks: `3`, `encoder 3`. */
export const layerName = (role: Pick<TensorRole, 'stack'>, layer: number): string => (role.stack ? `${role.stack} ${layer}` : String(layer));

export interface TensorRole {
  readonly role: Role;
  /** Block number, null outside the blocks. */
  readonly layer: number | null;
  /** Which of an encoder-decoder's two rows of blocks; missing where there is one. Block 0 of the one is not block 0 of the other. */
  readonly stack?: Stack;
  /** Group shown in the tree and the roll-up: `h.0`, `model.layers.3`, `wte`. */
  readonly group: string;
  /** In the prunable set by default. */
  readonly prunable: boolean;
  /** Counts as a parameter (false for buffers). */
  readonly parameter: boolean;
  /** Where the inputs run in the last two axes: Linear stores (out, in), GPT-2's Conv1D (in, out). Null for vectors. */
  readonly orientation: 'out-in' | 'in-out' | null;
}

/** What config.json calls the counts of a family: what has to change when whole parts of the network are taken away. */
export interface StructureKeys {
  /** How many blocks there are: one key, or one for each stack. */
  readonly layers: string | Readonly<Record<Stack, string>>;
  /** Width inside the MLP; null where the configuration cannot say it. */
  readonly inner: string | null;
  /** Null where the family cannot have another number of heads at the same width. */
  readonly heads: {
    readonly heads: string;
    /** Heads of keys and values, where they are fewer. */
    readonly keyValueHeads?: string;
    /** Width of a head, written down since it no longer follows from the model's width. */
    readonly headDim: string;
    /** False where transformers does not read `headDim`, so that only Winnow evaluates the result. */
    readonly inTransformers: boolean;
  } | null;
}

/** A family of models. Adding one is one new file and one line in `registry.ts`. */
export interface Architecture {
  readonly id: string;
  readonly title: string;
  /** Values of config.json's `model_type` that this family reads. */
  readonly modelTypes: readonly string[];
  readonly kind: 'decoder' | 'encoder' | 'encoder-decoder';
  /** True when names alone say so (used where there is no config). */
  matchesNames(names: ReadonlySet<string>): boolean;
  /** The role of one tensor, by its stored name. */
  role(name: string, shape: readonly number[]): TensorRole;
  /** Pairs of names that the config ties (first is the one that is kept), whether or not both are stored. */
  tied(config: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[];
  /** Longest context the config allows. Throws `unsupported-config`. */
  maxContext(config: Readonly<Record<string, unknown>>): number;
  /** Missing where whole parts cannot be taken away (blocks that are run several times, several kinds of blocks). */
  readonly structure?: StructureKeys;
  /** How masked tokens are decoded, where the family knows more than one way; part of the setup of a result. */
  maskedDecoder?(checkpoint: Checkpoint): 'emd' | 'plain';
  /**
   * Builds the evaluation graph: token ids in, per-token losses out, weights by reference.
   * Null when the family only inspects and prunes.
   * @throws CheckpointError `unsupported-config`, `tensor-missing`, `tensor-shape-differs`, `no-config`
   */
  readonly buildGraph: ((checkpoint: Checkpoint, options: GraphOptions) => ModelGraph) | null;
}

/** A checkpoint with its architecture applied: what everything above the formats works on. */
export interface Model {
  readonly checkpoint: Checkpoint;
  /** Null when no architecture matched; roles then come from names alone and `problems` says so. */
  readonly architecture: Architecture | null;
  /** One per tensor, same order as `checkpoint.tensors`. */
  readonly roles: readonly TensorRole[];
  /**
   * Groups of stored tensors that are one parameter, by name; the first is the one counted, pruned and shown.
   * Tied = the same storage, or tied by the config and equal byte for byte.
   */
  readonly tied: readonly (readonly string[])[];
  /** checkpoint.problems and what the architecture adds (buffers stored, tied copies that differ, unknown architecture). */
  readonly problems: Checkpoint['problems'];
}
