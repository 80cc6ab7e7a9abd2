"""Writes arrays.npz (stored), packed.npz (deflated), column.npy and arrays.json (the values) beside this file. Needs numpy."""
import json
import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)
arrays = {
    "plain": rng.normal(size=(3, 4)).astype("<f4"),
    "column": np.asfortranarray(rng.normal(size=(3, 5)).astype("<f8")),
    "big_endian": rng.normal(size=(2, 3)).astype(">f4"),
    "big_column": np.asfortranarray(rng.integers(-9, 9, size=(2, 3, 2)).astype(">i2")),
    "half": rng.normal(size=6).astype("<f2"),
    "flags": np.array([True, False]),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3), "<f4"),
    "long": np.array([-(2**40), 3], "<i8"),
    "complex": np.array([1 + 2j, -3.5j], "<c8"),
}
odd = {"words": np.array(["a", "bc"]), "when": np.array(["2020-01-01"], "M8[D]")}
np.savez(here / "arrays.npz", **arrays, **odd)
np.savez_compressed(here / "packed.npz", **arrays)
np.save(here / "column.npy", arrays["column"])
values = {name: {"shape": list(a.shape), "values": [x for v in a.flatten().tolist() for x in ([v.real, v.imag] if isinstance(v, complex) else [float(v)])]} for name, a in arrays.items()}
(here / "arrays.json").write_text(json.dumps(values) + "\n")
