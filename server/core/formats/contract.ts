import type { Problem } from '../errors';
import type { Packing } from './compressed/pieces';
import type { TensorInfo } from '../tensor/tensorInfo';

/** One file that holds weights. */
export interface CheckpointFile {
  /** As the person gave it, or as a sibling of it; links not resolved, so the extension still tells the format. */
  readonly path: string;
  /** Links resolved: what ONNX Runtime gets, and what a target is compared with. */
  readonly realPath: string;
  readonly byteLength: number;
  /** Checked again before each window is read. */
  readonly mtimeMs: number;
  /** Bytes before the first tensor: copied verbatim when the file is rewritten with the same layout. */
  readonly dataFrom: number;
  /** `__metadata__`, text to text, kept on writing. */
  readonly metadata: Readonly<Record<string, string>> | null;
}

/** Something in a file that is no plain tensor of the model: shown, never counted, pruned or written. */
export interface OpaqueEntry {
  readonly name: string;
  /** `optimizer`, `sparse`, `quantised`, `object`, `number`, ... */
  readonly kind: string;
  readonly shape?: readonly number[];
  /** What a person should know of it, short. */
  readonly detail: string;
  readonly section?: 'model' | 'optimizer';
}

/** A checkpoint without its values: the result of reading headers only. */
export interface Checkpoint {
  /** The path the person gave. */
  readonly path: string;
  /** Folder of the model (where config.json and the tokenizer would be). */
  readonly folder: string;
  /** Name a person knows it by: the folder's or the file's name. */
  readonly name: string;
  /** Id in the format registry. */
  readonly format: string;
  readonly files: readonly CheckpointFile[];
  /** Path of the index file of a shard set, null otherwise. */
  readonly index: string | null;
  /** In file order, then by offset. Names are unique. */
  readonly tensors: readonly TensorInfo[];
  /** Parsed config.json of the folder, untrusted; null when there is none. */
  readonly config: Readonly<Record<string, unknown>> | null;
  /** Remarks that do not stop anyone (stray copies, lying totals, gaps...). */
  readonly problems: readonly Problem[];
  readonly opaque?: readonly OpaqueEntry[];
  /** Weights are stored as bits and kept values (compressed-tensors), or beside their masks; a copy is another file. Missing where they are not. */
  readonly packing?: Packing | 'torch-masks';
}

/** A tokenizer as tokenizer.json and tokenizer_config.json would say it. */
export interface TokenizerSource {
  /** Where it comes from, for messages and results. */
  readonly file: string;
  readonly tokenizer: Record<string, unknown>;
  readonly config: Record<string, unknown>;
}

/** A small text file that is written beside the weights. */
export interface GeneratedFile { readonly name: string; readonly text: string }

/** What a format reads from one file: its tensors and what has to be kept when writing. */
export interface FileHeader {
  /** `file` counts the files of `files`, from 1; missing or 0 is the file itself. */
  readonly tensors: readonly (Omit<TensorInfo, 'file'> & { readonly file?: number })[];
  /** Other files that hold values of this one's tensors, relative to its folder. */
  readonly files?: readonly string[];
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly dataFrom: number;
  readonly problems: readonly Problem[];
  readonly opaque?: readonly OpaqueEntry[];
}

/** A container of tensors. Adding one is one new file and one line in `registry.ts`. */
export interface Format {
  readonly id: string;
  readonly title: string;
  /** With the dot, lower case. */
  readonly extensions: readonly string[];
  /** Names of index files of shard sets, e.g. `model.safetensors.index.json`. */
  readonly indexSuffix: string | null;
  /** How the editor opens such files: `default`, or on request only, where other tools use the extension too. */
  readonly editor?: 'default' | 'option';
  /** File names to look for in a model folder, best first. */
  readonly folderNames: readonly string[];
  /** True for names of this format's extensions that a trainer leaves beside a model and that are no model: optimizer state, arguments. */
  isSidecar?(name: string): boolean;
  /** True when the first bytes (at most 512) say that the file is of this format, whatever its name is. */
  sniff(head: Uint8Array, byteLength: number): boolean;
  /** Reads and validates the header. Every number is bounded before it sizes anything. */
  readHeader(path: string): FileHeader;
  /** The written copy has the source's bytes, all of them, but for the pruned weights: what surrounds them is no header. */
  readonly inPlace?: true;
  /** True when pruning writes this format. */
  readonly writable: boolean;
  /** The weight files bring config and tokenizer themselves: they need no model folder, and parts name each other. */
  readonly selfContained?: true;
  /** What the format's own metadata make of all the files together: a config, names, layouts. Called once, at the end of opening. */
  readonly interpret?: (checkpoint: Checkpoint) => Checkpoint;
  /** The tokenizer that the files themselves hold; null where they hold none. Wins over the folder's. */
  readonly readTokenizer?: (checkpoint: Checkpoint) => TokenizerSource | null;
  /** Small files that a folder written from the checkpoint needs beside the weights, made from its metadata. They win over the folder's. */
  readonly sidecars?: (checkpoint: Checkpoint) => readonly GeneratedFile[];
}
