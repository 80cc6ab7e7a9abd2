import type { Pattern, Scope } from '../pruning/contract';
import type { Provider } from '../runtime/contract';

/** A pure description of one unit of work: whoever runs it, wherever, gets the same answer. Written as SPEC.json. */
export interface CellSpecification {
  readonly version: 1;
  /** Absolute path of the checkpoint. */
  readonly checkpoint: string;
  readonly method: string;
  readonly scope: Scope;
  readonly pattern: Pattern;
  /** Sparsity asked; 0 is the baseline. */
  readonly level: number;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
  /** Benchmark id, or `text:<absolute path>`. */
  readonly benchmark: string;
  readonly protocol: string;
  readonly context: number;
  readonly stride: number;
  readonly limit: number | null;
  readonly provider: Provider | 'auto';
  readonly threads: number;
  readonly dataFolder: string | null;
  /** Whether the time of a window is measured against the baseline. */
  readonly runtime: boolean;
}

/** Where a sweep hands its cells. One implementation today: this machine. */
export interface Executor {
  readonly id: string;
  /** Runs one cell and answers with the path of its RESULT.json. */
  run(cell: CellSpecification, resultPath: string, report: (note: string) => void, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
