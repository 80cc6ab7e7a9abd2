"""Writes small checkpoints with torch, and what torch itself reads from them, beside this script: expected.json and *.pt.

    python make.py

Needs torch and numpy. Everything is seeded or counted, so that a second run gives the same values.
"""
import collections
import io
import json
import os
import pickle
import zipfile

import numpy
import torch
from torch.nn.utils import prune

here = os.path.dirname(os.path.abspath(__file__))
expected = {}


def plain(tensor):
    """Values of a tensor as numbers JSON has; complex as pairs, NaN and infinity as text."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.resolve_conj().resolve_neg().contiguous()
    if tensor.dtype == torch.complex64:
        tensor = torch.view_as_real(tensor)
    values = tensor.to(torch.float64).flatten().tolist() if tensor.dtype != torch.uint64 else tensor.flatten().tolist()
    return [value if value == value and abs(value) != float('inf') else str(value) for value in values]


def save(name, value, tensors, opaque=(), **options):
    torch.save(value, os.path.join(here, name), **options)
    note(name, tensors, opaque)


def note(name, tensors, opaque=()):
    expected[name] = {
        'tensors': {key: {'dtype': str(tensor.dtype).replace('torch.', ''), 'shape': list(tensor.shape), 'values': plain(tensor)} for key, tensor in tensors.items()},
        'opaque': sorted(opaque),
    }


def rezip(source, name, change=lambda path, data: data, method=zipfile.ZIP_DEFLATED):
    """The same archive with its entries changed or compressed."""
    with zipfile.ZipFile(os.path.join(here, source)) as old, zipfile.ZipFile(os.path.join(here, name), 'w', method) as new:
        for info in old.infolist():
            new.writestr(zipfile.ZipInfo(info.filename), change(info.filename, old.read(info)), compress_type=method)
    expected[name] = expected[source]


count = torch.arange(24, dtype=torch.float32).reshape(4, 6) - 11.5
views = collections.OrderedDict(
    whole=count, transposed=count.t(), column=count[:, 2], block=count[1:3, 2:5], every=count.flatten()[1::3], expanded=count[0, :1].expand(3, 5), scalar=count[2, 3],
    permuted=torch.arange(60, dtype=torch.float32).reshape(3, 4, 5).permute(2, 0, 1), empty=count[:0], one=count[None, :, None, :1],
)
for protocol in (2, 3, 4, 5):
    save(f'views-{protocol}.pt', views, views, pickle_protocol=protocol)
    save(f'stream-{protocol}.pt', views, views, pickle_protocol=protocol, _use_new_zipfile_serialization=False)

z = torch.complex(torch.arange(6.).reshape(2, 3), torch.tensor([[1., -2., 3.], [-4., 5., -6.]]))
dtypes = {str(dtype).replace('torch.', ''): torch.tensor([0, 1, 2, 3, 100], dtype=torch.float64).to(dtype) for dtype in (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
    torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)}
dtypes |= {'conjugate': z.conj(), 'conjugate.t': z.t().conj(), 'negative': torch._neg_view(torch.arange(3.) - 1), 'parameter': torch.nn.Parameter(count[0])}
save('dtypes.pt', dtypes, dtypes)
save('dtypes-stream.pt', {key: value for key, value in dtypes.items()}, dtypes, _use_new_zipfile_serialization=False)
rezip('dtypes.pt', 'dtypes-deflated.pt')
rezip('views-2.pt', 'views-deflated.pt')

words = {key: value for key, value in dtypes.items() if key in ('float64', 'float32', 'bfloat16', 'int64', 'complex64', 'uint8')} | {'t': count.t()}
save('words.pt', words, words)
sizes = {}


def big(path, data):
    """Big-endian storages. Items of complex64 are pairs of floats."""
    key = path.rsplit('/', 1)[-1]
    if path.endswith('byteorder'):
        return b'big'
    if '/data/' not in path:
        return data
    size = [8, 4, 2, 8, 1, 4, 4][int(key)] if len(words) == 7 else 1
    return numpy.frombuffer(data, dtype=f'V{size}').tobytes() if size == 1 else b''.join(data[i:i + size][::-1] for i in range(0, len(data), size))


order = list(words)
assert order == ['float64', 'float32', 'bfloat16', 'int64', 'uint8', 'complex64', 't'], order
rezip('words.pt', 'words-big.pt', big, zipfile.ZIP_STORED)
rezip('words.pt', 'words-big-deflated.pt', big)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2, bias=False))
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(1, 4)).sum().backward()
optimizer.step()
state = model.state_dict()
save('trainer.ckpt', {'epoch': 3, 'state_dict': {f'module.{key}': value for key, value in state.items()}, 'optimizer': optimizer.state_dict(), 'loss': numpy.float64(0.25), 'history': numpy.arange(3)},
     {f'module.{key}': value for key, value in state.items()}, [f'optimizer.state.{i}.{key}' for i in range(3) for key in ('exp_avg', 'exp_avg_sq', 'step')])
save('module.pt', model, state)
save('list.pt', [count, {'a': count[0]}], {'0': count, '1.a': count[0]})
save('single.pt', count, {'tensor': count})

for step in (0, 2):
    prune.l1_unstructured(model[step], 'weight', amount=0.5)
masked = {'0.bias': model[0].bias, '0.weight': model[0].weight, '2.weight': model[2].weight}
save('masked.pt', model.state_dict(), masked)
save('masked-stream.pt', model.state_dict(), masked, _use_new_zipfile_serialization=False)
rezip('masked.pt', 'masked-deflated.pt')

special = {
    'dense': count, 'q8': torch.quantize_per_tensor(count, 0.1, 3, torch.qint8), 'q32': torch.quantize_per_tensor(count, 0.01, 0, torch.qint32),
    'channel': torch.quantize_per_channel(count, torch.full((4,), 0.1), torch.zeros(4, dtype=torch.int64), 0, torch.qint8), 'sparse': torch.eye(3).to_sparse(), 'csr': torch.eye(3).to_sparse_csr(),
    'meta': torch.empty(2, 3, device='meta'), 'c128': torch.zeros(2, dtype=torch.complex128), 'array': numpy.arange(6.).reshape(2, 3), 'nested': torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
}
save('special.pt', special, {key: special[key] for key in ('dense', 'q8', 'q32')}, ['c128', 'channel', 'csr', 'meta', 'nested', 'sparse'])

expected_path = os.path.join(here, 'expected.json')
with open(expected_path, 'w') as out:
    out.write('{\n' + ',\n'.join(f'{json.dumps(name)}: {json.dumps(value)}' for name, value in expected.items()) + '\n}\n')
