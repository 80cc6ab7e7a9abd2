import type { Job } from '../../core/job';
import type { IoMode } from '../../core/bytes/byteSource';
import type { VerbOutputs } from '../../protocol/verbs';

/** One flag of a verb. `value` null: a switch. `many`: may be given several times and takes all words up to the next flag. */
export interface Flag {
  readonly name: string;
  readonly value: string | null;
  readonly many?: true;
  readonly help: string;
}

/** Words of the command line, split but not yet understood. */
export interface Arguments {
  /** What is not a flag, in order. */
  readonly positional: readonly string[];
  /** Last value of a flag, `true` for a switch, undefined when absent. */
  text(flag: string): string | undefined;
  many(flag: string): readonly string[];
  has(flag: string): boolean;
  /** A finite number in [low, high]; throws CheckpointError `usage` naming the flag and the range. */
  number(flag: string, low: number, high: number): number | undefined;
  integer(flag: string, low: number, high: number): number | undefined;
}

/** What every verb gets besides its arguments: the flags that hold everywhere, resolved. */
export interface VerbContext {
  readonly cwd: string;
  readonly threads: number;
  readonly io: IoMode;
  readonly force: boolean;
  readonly verbose: boolean;
  /** Folder with benchmark texts: --data, else WINNOW_DATA, else null. */
  readonly dataFolder: string | null;
  readonly signal: AbortSignal;
  /** Asks a person at a terminal yes or no; missing where there is none. */
  confirm?(question: string): Promise<boolean>;
}

/** One verb of the command line. Adding one is one new file and one line in `registry.ts`. */
export interface Verb<Name extends keyof VerbOutputs = keyof VerbOutputs> {
  readonly name: Name;
  /** After the name, e.g. `CHECKPOINT [--threshold T]`. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** How many positional words: [least, most]. */
  readonly positional: readonly [number, number];
  /** Long work; yields progress (the shell prints it to stderr), answers with what --json prints. */
  run(args: Arguments, context: VerbContext): Job<VerbOutputs[Name]>;
  /** What a person reads on stdout without --json. */
  text(output: VerbOutputs[Name], how?: { readonly verbose: boolean }): string;
}
