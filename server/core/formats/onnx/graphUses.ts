import type { TensorUse } from '../../tensor/tensorInfo';

/** What of a node says how weights are used. */
export interface NodeFacts {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Of Gemm and FusedMatMul. */
  readonly transA: boolean;
  readonly transB: boolean;
  /** Of Transpose: the last two axes are exchanged and the others stay; null when it does something else. */
  readonly swapsLast: boolean;
}

/** Operators that hand a weight on as it is; of a Transpose the orientation turns. */
const PASSING: ReadonlySet<string> = new Set(['Identity', 'Cast', 'DequantizeLinear', 'Transpose']);

/** Inputs of operators that are weights, and where their inputs run: MatMul's right side is (in, out). */
function weightInputs(node: NodeFacts): readonly (readonly [input: number, orientation: 'out-in' | 'in-out', prunable: boolean])[] {
  switch (node.op) {
    case 'MatMul': case 'FusedMatMul': case 'Gemm':
      return [[1, node.transB ? 'out-in' : 'in-out', true], [0, node.transA ? 'in-out' : 'out-in', true]];
    // com.microsoft: the fused projection of query, key and value.
    case 'Attention': return [[1, 'in-out', true]];
    case 'Conv': case 'ConvTranspose': return [[1, 'out-in', false]];
    case 'LSTM': case 'GRU': case 'RNN': return [[1, 'out-in', false], [2, 'out-in', false]];
    default: return [];
  }
}

/** Collects, node by node, how values are used; bounded by what the file says, not by what it multiplies to. */
export class GraphUses {
  private readonly passed = new Map<string, { readonly from: string; readonly turned: boolean }>();
  private readonly uses = new Map<string, TensorUse & { readonly output: string }>();

  add(node: NodeFacts): void {
    if (PASSING.has(node.op) && node.inputs.length > 0 && node.outputs.length > 0 && (node.op !== 'Transpose' || node.swapsLast)) {
      this.passed.set(node.outputs[0], { from: node.inputs[0], turned: node.op === 'Transpose' });
    }
    for (const [input, orientation, prunable] of weightInputs(node)) this.use(node.inputs[input], { op: node.op, orientation, prunable, scope: scopeOf(node), head: false, output: node.outputs[0] ?? '' });
    if (node.op === 'Gather') this.use(node.inputs[0], { op: 'Gather', orientation: null, prunable: false, scope: scopeOf(node), head: false, output: '' });
  }

  private use(value: string | undefined, use: TensorUse & { readonly output: string }): void {
    if (value === undefined || value === '') return;
    const known = this.uses.get(value);
    // A table that is looked up stays a table, even where it is multiplied too (a tied head).
    if (known === undefined || (use.op === 'Gather' && known.op !== 'Gather')) this.uses.set(value, use);
  }

  /**
   * The use of each tensor, by name.
   *
   * @param outputs names of the graph's outputs: the weight that makes one of them is the head
   */
  resolve(outputs: ReadonlySet<string>): ReadonlyMap<string, TensorUse> {
    const made = new Set(outputs);
    for (const [output, { from }] of this.passed) if (outputs.has(output)) made.add(from);
    const found = new Map<string, TensorUse>();
    for (const [value, { output, ...use }] of this.uses) {
      let at = value, turned = false;
      for (let steps = 0; steps < 8 && this.passed.has(at); steps++) {
        const next = this.passed.get(at)!;
        turned = turned !== next.turned;
        at = next.from;
      }
      const orientation = !turned || use.orientation === null ? use.orientation : use.orientation === 'in-out' ? 'out-in' : 'in-out';
      if (found.get(at)?.op !== 'Gather') found.set(at, { ...use, orientation, head: made.has(output) });
    }
    return found;
  }
}

/** `/model/layers.0/mlp/down_proj/MatMul` -> `model.layers.0.mlp.down_proj`: what exporters write into names of nodes. */
function scopeOf({ name, op }: NodeFacts): string | null {
  const words = name.split('/').filter((word) => word !== '');
  if (words.length > 0 && words[words.length - 1].replace(/_\d+$/, '').startsWith(op)) words.pop();
  return words.length > 0 ? words.join('.').slice(0, 512) : null;
}
