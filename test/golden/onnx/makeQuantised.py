"""Writes quantised.onnx and quantised.json: integers behind DequantizeLinear (one scale, a scale a row, a scale a column, no zero point, int32,
a computed scale), their values and the logits as onnx's own reference evaluator computes them.

    python test/golden/onnx/makeQuantised.py
"""
import json
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = Path(__file__).resolve().parent
rng = np.random.default_rng(7)
VOCAB, WIDTH = 40, 32
init, nodes, shown = [], [], {}


def add(name, values):
    init.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def dequantised(name, values, scale, zero, axis=None):
    inputs = [add(name, values) if isinstance(values, np.ndarray) else values, add(name + '_scale', np.asarray(scale, np.float32))]
    if zero is not None:
        inputs.append(add(name + '_zero', np.asarray(zero, values.dtype)))
    nodes.append(helper.make_node('DequantizeLinear', inputs, [name + '_f'], **({} if axis is None else {'axis': axis})))
    shown[name] = name + '_f'
    return name + '_f'


table = dequantised('table', rng.integers(0, 255, (VOCAB, WIDTH), dtype=np.uint8), 0.013, 127)
up = dequantised('up', rng.integers(-128, 127, (WIDTH, WIDTH), dtype=np.int8), rng.uniform(0.001, 0.01, WIDTH), rng.integers(-5, 5, WIDTH), 1)
down = dequantised('down', rng.integers(-128, 127, (WIDTH, WIDTH), dtype=np.int8), rng.uniform(0.001, 0.01, WIDTH), None, 0)
bias = dequantised('bias', rng.integers(-2**30, 2**30, WIDTH, dtype=np.int32), 1e-10, None)
head = dequantised('head', rng.integers(-128, 127, (WIDTH, VOCAB), dtype=np.int8), 0.02, 3)
nodes += [
    helper.make_node('Gather', [table, 'input_ids'], ['x0']), helper.make_node('MatMul', ['x0', up], ['x1']), helper.make_node('Add', ['x1', bias], ['x2']),
    helper.make_node('MatMul', ['x2', down], ['x3']), helper.make_node('MatMul', ['x3', head], ['logits']),
    # A scale that is computed says nothing before the graph runs.
    helper.make_node('Add', [add('half', np.float32(0.25)), 'half'], ['sum']), helper.make_node('DequantizeLinear', [add('odd', rng.integers(-9, 9, 8, dtype=np.int8)), 'sum'], ['odd_f']),
]
graph = helper.make_graph(nodes, 'quantised', [helper.make_tensor_value_info('input_ids', TensorProto.INT64, ['batch', 'length'])], [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['batch', 'length', VOCAB])], init)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 19)], ir_version=9, producer_name='winnow-golden')
onnx.checker.check_model(model)
onnx.save(model, HERE / 'quantised.onnx')
ids = rng.integers(0, VOCAB, (1, 12))
intermediate = onnx.ModelProto()
intermediate.CopyFrom(model)
for f in shown.values():
    intermediate.graph.output.append(helper.make_tensor_value_info(f, TensorProto.FLOAT, None))
logits, *values = ReferenceEvaluator(intermediate).run(None, {'input_ids': ids})
logits = logits.astype(np.float64)[0]
rest = logits - logits.max(1, keepdims=True)
losses = -(rest - np.log(np.exp(rest).sum(1, keepdims=True)))[np.arange(11), ids[0, 1:]]
(HERE / 'quantised.json').write_text(json.dumps({
    'ids': ids[0].tolist(), 'losses': losses.tolist(),
    'tensors': {name: {'type': np.dtype(numpy_helper.to_array(next(i for i in init if i.name == name)).dtype).name.upper(), 'values': v.ravel().astype(float).tolist()} for name, v in zip(shown, values)}}) + '\n')
print(losses.mean())
