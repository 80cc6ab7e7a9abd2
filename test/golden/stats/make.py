"""Golden statistics from numpy (longdouble sums) and the values of 8-bit codes from PyTorch.

    python test/golden/stats/make.py

The data is not stored: a 32-bit xorshift makes it, here and in test/unit/stats/golden.test.ts alike.
"""
import json
import math
import pathlib

import numpy as np
import torch

COUNT = 5000


def words(seed, n):
    x, out = seed, []
    for _ in range(n):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        out.append(x)
    return np.array(out, dtype=np.uint32)


def uniform(seed, n):
    return words(seed, n).astype(np.float64) / 2.0**32 - 0.5


def tensors():
    yield "BF16 raw patterns", "BF16", ((words(1, COUNT) >> 8).astype(np.uint32) & 0xFFFF) << 16, None
    yield "BF16 small", "BF16", ((uniform(2, COUNT) * 0.1).astype(np.float32).view(np.uint32) >> 16) << 16, None
    yield "F16 raw patterns", "F16", None, ((words(3, COUNT) >> 8) & 0xFFFF).astype(np.uint16).view(np.float16)
    yield "F32 raw patterns, exponents below 2^60", "F32", None, (words(4, COUNT) & np.uint32(0x9DFFFFFF)).view(np.float32)
    yield "F32 with a large mean", "F32", None, (uniform(5, COUNT) + 1000000.0).astype(np.float32)
    yield "F32 centred", "F32", None, (uniform(6, COUNT) * 0.05).astype(np.float32)
    yield "F64 with a large mean", "F64", None, uniform(7, COUNT) + 1e4
    yield "F64 huge", "F64", None, uniform(8, COUNT) * 1e300


def number(x):
    x = float(x)
    return x if math.isfinite(x) else ("NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity")


def stats(x, thresholds):
    x = x.astype(np.longdouble)
    finite = x[np.isfinite(x)]
    magnitude = np.abs(x)
    return {
        "elements": int(x.size), "zeros": int((x == 0).sum()), "nan": int(np.isnan(x).sum()), "inf": int(np.isinf(x).sum()),
        "min": number(finite.min()), "max": number(finite.max()), "mean": number(finite.mean()), "std": number(finite.std()),
        "absMax": number(np.nanmax(magnitude)),
        "above": [[t, int((magnitude > np.longdouble(t)).sum())] for t in thresholds],
    }


def main():
    here = pathlib.Path(__file__).parent
    out = []
    for name, dtype, widened, values in tensors():
        x = widened.astype(np.uint32).view(np.float32) if widened is not None else values
        magnitudes = np.abs(x.astype(np.float64))
        median = float(np.nanmedian(magnitudes))
        some = float(np.sort(magnitudes[np.isfinite(magnitudes)])[1234])
        out.append({"name": name, "dtype": dtype, **stats(x, [0, 0.2, 1e-3, some, median, 1e6])})
    (here / "stats.json").write_text(json.dumps(out, indent=1) + "\n")

    codes = {}
    for name, dtype in [("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2), ("F8_E4M3FNUZ", torch.float8_e4m3fnuz), ("F8_E5M2FNUZ", torch.float8_e5m2fnuz), ("F8_E8M0", torch.float8_e8m0fnu)]:
        values = torch.arange(256, dtype=torch.uint8).view(dtype).to(torch.float32).to(torch.float64)
        codes[name] = [number(v) for v in values.tolist()]
    (here / "codes.json").write_text(json.dumps(codes, separators=(",", ":")) + "\n")


main()
