"""Writes dense.safetensors and what compressed-tensors 0.12.2 makes of it: bitmask.safetensors, and for 2:4 two-four-dense.safetensors
and two-four.safetensors.

    pip install "compressed-tensors==0.12.2"
    python make.py                       writes the files beside this script
    python make.py check DENSE PACKED    reads PACKED (a file or folder) with the package and compares it with DENSE, bit for bit
"""
import os
import sys

import compressed_tensors
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.config import SparsityCompressionConfig
from safetensors.torch import load_file, save_file

here = os.path.dirname(os.path.abspath(__file__))


def compressor(form, structure):
    config = SparsityCompressionConfig.load_from_registry(form, sparsity_structure=structure)
    return BaseCompressor.load_from_registry(form, config=config)


def sparse(shape, dtype, share, generator):
    values = torch.randn(shape, generator=generator)
    values[torch.rand(shape, generator=generator) < share] = 0.0
    return values.to(dtype)


def two_four(shape, dtype, generator, most=2):
    values = torch.randn(shape, generator=generator).reshape(-1, 4)
    order = torch.rand(values.shape, generator=generator).argsort(dim=1)
    return values.masked_fill(order >= most, 0.0).reshape(shape).to(dtype)


def make():
    assert compressed_tensors.__version__.startswith("0.12."), compressed_tensors.__version__
    generator = torch.Generator().manual_seed(6)
    dense = {
        "model.layers.0.self_attn.q_proj.weight": sparse((13, 21), torch.float32, 0.6, generator),
        "model.layers.0.self_attn.k_proj.weight": sparse((16, 8), torch.float16, 0.9, generator),
        "model.layers.0.mlp.up_proj.weight": sparse((9, 40), torch.bfloat16, 0.5, generator),
        "model.layers.0.mlp.down_proj.weight": torch.zeros((4, 11)),
        "model.embed_tokens.weight": torch.randn((12, 5), generator=generator),
    }
    dense["model.layers.0.self_attn.q_proj.weight"][3] = 0.0
    dense["model.layers.0.self_attn.q_proj.weight"][4, 2:4] = torch.tensor([float("nan"), float("-inf")])
    targets = {name[: -len(".weight")] for name in dense if "embed" not in name}
    save_file(dense, os.path.join(here, "dense.safetensors"), {"format": "pt"})
    save_file(compressor("sparse-bitmask", "unstructured").compress(dense, compression_targets=targets), os.path.join(here, "bitmask.safetensors"), {"format": "pt"})

    halves = {
        "model.layers.0.self_attn.q_proj.weight": two_four((6, 20), torch.float32, generator),
        "model.layers.0.mlp.up_proj.weight": two_four((5, 12), torch.bfloat16, generator),
        "model.layers.0.mlp.down_proj.weight": two_four((4, 16), torch.float16, generator, most=1),
        "model.norm.weight": torch.randn((7,), generator=generator),
    }
    save_file(halves, os.path.join(here, "two-four-dense.safetensors"), {"format": "pt"})
    targets = {name[: -len(".weight")] for name in halves if "norm" not in name}
    save_file(compressor("sparse-24-bitmask", "2:4").compress(halves, compression_targets=targets), os.path.join(here, "two-four.safetensors"), {"format": "pt"})


def check(dense_path, packed_path):
    file = os.path.join(packed_path, "model.safetensors") if os.path.isdir(packed_path) else packed_path
    form = "sparse-bitmask" if any(name.endswith(".row_offsets") for name in load_file(file)) else "sparse-24-bitmask"
    dense = load_file(dense_path)
    read = dict(compressor(form, "2:4" if "24" in form else "unstructured").decompress(packed_path))
    assert sorted(read) == sorted(dense), sorted(set(read) ^ set(dense))
    for name, value in dense.items():
        assert read[name].dtype == value.dtype and read[name].shape == value.shape, name
        kind = {4: torch.int32, 2: torch.int16}[value.element_size()]
        assert torch.equal(read[name].contiguous().view(kind), value.contiguous().view(kind)), name
    print(f"{form}: {len(read)} tensors are equal, bit for bit")


if len(sys.argv) > 1:
    check(*sys.argv[2:])
else:
    make()
