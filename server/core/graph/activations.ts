import { MICROSOFT } from './builder';
import type { GraphBuilder, Value } from './builder';

type Activation = (g: GraphBuilder, x: Value) => Value;

const gelu: Activation = (g, x) => g.op('Gelu', [x]);
/** 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
const geluTanh: Activation = (g, x) => g.op('Gelu', [x], { approximate: { s: 'tanh' } });
const relu: Activation = (g, x) => g.op('Relu', [x]);
/** x * sigmoid(alpha x) */
const quickGelu = (alpha: number): Activation => (g, x) => g.op('QuickGelu', [x], { alpha: { f: alpha } }, MICROSOFT);

/** The names that configurations use, each with the mathematics that transformers gives it. */
export const activations: Readonly<Record<string, Activation>> = {
  gelu, gelu_python: gelu,
  gelu_new: geluTanh, gelu_fast: geluTanh, gelu_accurate: geluTanh, gelu_pytorch_tanh: geluTanh, gelu_python_tanh: geluTanh,
  relu,
  relu2: (g, x) => { const positive = relu(g, x); return g.op('Mul', [positive, positive]); },
  relu6: (g, x) => g.op('Clip', [x, g.float(0), g.float(6)]),
  silu: quickGelu(1), swish: quickGelu(1), quick_gelu: quickGelu(1.702),
  sigmoid: (g, x) => g.op('Sigmoid', [x]),
  tanh: (g, x) => g.op('Tanh', [x]),
  mish: (g, x) => g.op('Mish', [x]),
  linear: (_, x) => x,
};
