"""Writes blocks.json: random blocks of every ggml type with the values that the `gguf` package gives them.

Q8_1, Q8_K and Q1_0, which the package cannot dequantise, are worked out here from their definition (d x q; +-d).

    python test/golden/gguf/makeBlocks.py
"""
import base64
import json
from pathlib import Path
import numpy as np
import gguf
from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES

rng = np.random.default_rng(20240814)
out = {}
HALVES = {'Q4_0': [0], 'Q4_1': [0, 2], 'Q5_0': [0], 'Q5_1': [0, 2], 'Q8_0': [0], 'Q2_K': [80, 82], 'Q3_K': [108], 'Q4_K': [0, 2], 'Q5_K': [0, 2], 'Q6_K': [208],
          'IQ2_XXS': [0], 'IQ2_XS': [0], 'IQ2_S': [0], 'IQ3_XXS': [0], 'IQ3_S': [0], 'IQ1_S': [0], 'IQ4_NL': [0], 'IQ4_XS': [0], 'TQ1_0': [52], 'TQ2_0': [64], 'Q1_0': [0]}
for kind, (elements, size) in GGML_QUANT_SIZES.items():
    if elements == 1:
        continue
    blocks = 3 if elements >= 128 else 8
    raw = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
    for at in HALVES.get(kind.name, []):
        # Scales of every size that F16 has, also negative and below its normal range.
        scale = (rng.standard_normal(blocks) * 2.0 ** rng.integers(-20, 4, blocks)).astype(np.float16)
        raw[:, at:at + 2] = scale.view(np.uint8).reshape(blocks, 2)
    if kind.name == 'IQ1_M':
        raw[:, 55] &= 0x3f  # keeps the exponent of the scattered scale below NaN
    if kind.name in ('Q8_1', 'Q8_K'):
        d = (rng.standard_normal(blocks) * 0.01).astype(np.float32)
        raw[:, 0:4] = d.view(np.uint8).reshape(blocks, 4)
        offset = 8 if kind.name == 'Q8_1' else 4
        values = d[:, None] * raw[:, offset:offset + elements].view(np.int8).astype(np.float32)
    elif kind.name == 'Q1_0':
        d = raw[:, 0:2].copy().view(np.float16).astype(np.float32)
        bits = np.unpackbits(raw[:, 2:], axis=1, bitorder='little')
        values = np.where(bits == 1, d, -d)
    else:
        values = gguf.quants.dequantize(raw, kind)
    values = np.ascontiguousarray(values.reshape(-1), dtype=np.float32)
    assert values.size == blocks * elements
    out[kind.name] = {'elements': elements, 'bytes': size, 'blocks': base64.b64encode(raw.tobytes()).decode(), 'values': base64.b64encode(values.tobytes()).decode()}
Path(__file__).with_name('blocks.json').write_text(json.dumps(out, indent=1) + '\n')
