import type { GraphBuilder } from '../graph/builder';
import type { GraphSession, GraphTensor } from '../runtime/contract';
import type { StatisticsKind } from './contract';
import type { Segment } from './blocks';

/** Matrices that are fed the same values share their statistics: query, key and value; gate and up. */
interface Group {
  readonly names: readonly string[];
  readonly sum: string;
  readonly rows: string;
  readonly moments: string | null;
}

/** What was summed of a group's inputs so far. */
export interface Sums {
  readonly names: readonly string[];
  rows: number;
  /** (inputs), made by the first window. */
  sumOfSquares: Float64Array;
}

/** The statistics of one segment: nodes added to its graph, and sums over windows outside of it. */
export class Statistics {
  private readonly groups: readonly Group[];
  readonly sums: readonly Sums[];

  /**
   * @param wide squares are summed in F64, which the CPU has; otherwise in F32 within a window. Sums over windows are F64 in any case,
   *   second moments F32, and stay where they are made.
   */
  constructor(private readonly g: GraphBuilder, segment: Segment, prefix: string, needs: StatisticsKind, private readonly wide: boolean) {
    const byInputs = new Map<string, { names: string[]; values: readonly string[] }>();
    for (const [name, values] of segment.taps) {
      const key = values.join(), known = byInputs.get(key);
      if (known) known.names.push(name);
      else byInputs.set(key, { names: [name], values });
    }
    this.groups = [...byInputs.values()].map(({ names, values }, i) => this.group(names, values, `${prefix} ${i}`, needs));
    this.sums = this.groups.map(({ names }) => ({ names, rows: 0, sumOfSquares: new Float64Array(0) }));
  }

  private group(names: readonly string[], values: readonly string[], at: string, needs: StatisticsKind): Group {
    const { g } = this, add = (all: readonly string[]): string => all.reduce((a, b) => g.op('Add', [a, b]));
    const sum = add(values.map((x) => g.op('ReduceSumSquare', [this.wide ? g.cast(x, 'F64') : x, g.ints64([0])], { keepdims: { i: 0 } })));
    const rows = add(values.map((x) => g.op('Shape', [x], { end: { i: 1 } })));
    let moments: string | null = null;
    if (needs === 'hessians') {
      moments = g.input(`moments ${at} before`, 'F32', [`${at} rows`, `${at} columns`]);
      // Gemm(x, x, sum; transA) is sum + x^T x with nothing written between; the first sum is a 0 that spreads.
      for (const x of values) moments = g.op('Gemm', [x, x, moments], { transA: { i: 1 } });
    }
    return { names, sum, rows, moments };
  }

  /** Outputs to add to the segment's slice. */
  get outputs(): readonly { readonly name: string; readonly value: string; readonly type: 'F32' | 'F64' | 'I64' }[] {
    return this.groups.flatMap(({ sum, rows, moments }, i) => [
      { name: `sum ${i}`, value: sum, type: this.wide ? 'F64' : 'F32' } as const, { name: `rows ${i}`, value: rows, type: 'I64' } as const,
      ...(moments === null ? [] : [{ name: `moments ${i}`, value: moments, type: 'F32' } as const]),
    ]);
  }

  get kept(): readonly string[] {
    return this.groups.flatMap(({ moments }, i) => (moments === null ? [] : [`moments ${i}`]));
  }

  /** What the inputs of second moments are fed: nothing yet, or what was kept. */
  feed(input: string, isFirst: boolean): GraphTensor | { readonly kept: string } | null {
    const at = /^moments .* (\d+) before$/.exec(input)?.[1];
    if (at === undefined) return null;
    return isFirst ? { type: 'float32', data: new Float32Array(1), dims: [1, 1] } : { kept: `moments ${at}` };
  }

  /** Adds what one window gave. */
  add(outputs: Readonly<Record<string, GraphTensor>>): void {
    for (const [i, sums] of this.sums.entries()) {
      const squares = outputs[`sum ${i}`].data as Float32Array | Float64Array;
      sums.rows += Number((outputs[`rows ${i}`].data as BigInt64Array)[0]);
      if (sums.sumOfSquares.length === 0) sums.sumOfSquares = new Float64Array(squares.length);
      for (let channel = 0; channel < squares.length; channel++) sums.sumOfSquares[channel] += squares[channel];
    }
  }

  /** Writes the second moments, each into the file that `fileOf` names. */
  async save(session: GraphSession, fileOf: (group: number) => string): Promise<void> {
    for (const [i, { moments }] of this.groups.entries()) if (moments !== null) await session.save(`moments ${i}`, fileOf(i));
  }
}
