"""Makes the small checkpoints of test/golden/pruning/fixtures and golden.json: what pruning them must give, by numpy alone.

An implementation of the pruning rules that shares no code with Winnow: exact k = round(s * N) (Python rounds halves to
even), smallest magnitudes first as doubles, ties by tensor name (code point order) then flat index, NaN never selected,
selected positions written as +0.0. A set that already has more zeros than asked stays as it is.

    python make.py            (numpy only; writes beside itself)
"""
import hashlib, json, math, struct
from pathlib import Path
import numpy as np

HERE = Path(__file__).resolve().parent
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8}


def bf16(values):
    """Nearest BF16 bits of finite F32 values, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def encode(dtype, values):
    if dtype == "BF16":
        return bf16(values)
    return np.asarray(values, {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64}[dtype])


def magnitudes(dtype, raw):
    """|w| as doubles of the raw little-endian bytes."""
    if dtype == "BF16":
        return np.abs((np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64))
    return np.abs(np.frombuffer(raw, {"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype]).astype(np.float64))


def file_bytes(tensors, metadata):
    """A safetensors file of (name, dtype, shape, bytes), in this order."""
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, raw in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(raw for *_, raw in tensors)


def read(path):
    blob = path.read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:8 + size])
    start = 8 + size
    header.pop("__metadata__", None)
    return blob[:start], {name: (e["dtype"], tuple(e["shape"]), start + e["data_offsets"][0], blob[start + e["data_offsets"][0]:start + e["data_offsets"][1]]) for name, e in header.items()}


# -- fixtures ---------------------------------------------------------------------------------------------------------

def grid(rng, shape, step, spread):
    """Values on a coarse grid: masses of ties."""
    return np.round(rng.normal(0, spread, shape) / step) * step


def special(values, rng, count):
    """Puts NaN, infinities, negative zeros and denormals at seeded places."""
    flat = values.reshape(-1)
    kinds = [np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, -0.0, 1e-40, -1e-40, 6e-8]
    for i, at in enumerate(rng.choice(flat.size, count, replace=False)):
        flat[at] = kinds[i % len(kinds)]
    return values


def write_fixture(name, config, files, metadata, total=None):
    folder = HERE / "fixtures" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    weight_map = {}
    for file, tensors in files.items():
        packed = []
        for tensor, dtype, values in tensors:
            encoded = encode(dtype, values)
            if dtype == "BF16":  # the special values do not survive the arithmetic rounding
                flat = np.asarray(values, np.float32).reshape(-1)
                bits = encoded.reshape(-1)
                bits[np.isnan(flat)] = 0x7FC1
                bits[np.isinf(flat)] = (flat[np.isinf(flat)].view(np.uint32) >> 16).astype(np.uint16)
            packed.append((tensor, dtype, np.shape(values), encoded.tobytes()))
            weight_map[tensor] = file
        (folder / file).write_bytes(file_bytes(packed, metadata))
    if len(files) > 1:
        index = {"metadata": {"total_size": total, "made_by": "make.py"}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def make_fixtures():
    rng = np.random.default_rng(20240601)
    llama = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True, "hidden_size": 24, "intermediate_size": 36,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40, "max_position_embeddings": 64}
    embed = grid(rng, (40, 24), 0.125, 0.3)
    # Every dtype competes in one scope, ties meet across dtypes and shards, the head is a stored copy of the embedding.
    write_fixture("mixed", llama, {
        "model-00001-of-00002.safetensors": [
            ("model.embed_tokens.weight", "F32", embed),
            ("model.layers.0.self_attn.q_proj.weight", "BF16", special(grid(rng, (24, 24), 0.03125, 0.2), rng, 40)),
            ("model.layers.0.self_attn.k_proj.weight", "F16", special(grid(rng, (12, 24), 0.03125, 0.2), rng, 30)),
            ("model.layers.0.self_attn.v_proj.weight", "F32", special(grid(rng, (12, 24), 0.03125, 0.2), rng, 30)),
            ("model.layers.0.input_layernorm.weight", "F32", np.ones(24)),
            ("model.layers.0.position_ids", "I64", np.arange(8)),
        ],
        "model-00002-of-00002.safetensors": [
            ("lm_head.weight", "F32", embed),
            ("model.layers.1.mlp.up_proj.weight", "F64", grid(rng, (36, 24), 0.0078125, 0.1) + rng.normal(0, 1e-9, (36, 24))),
            ("model.layers.1.mlp.down_proj.weight", "BF16", rng.normal(0, 0.1, (24, 36))),
            ("model.layers.1.mlp.gate_proj.weight", "F16", rng.normal(0, 0.1, (36, 24))),
            ("model.layers.1.self_attn.o_proj.weight", "F32", np.zeros((24, 24))),
            ("model.norm.weight", "BF16", np.ones(24)),
        ],
    }, {"format": "pt", "note": "zwölf"}, total=1)
    # F32 without structure: the threshold lies inside a coarse bin; half of the values appear twice.
    values = rng.normal(0, 0.02, (64, 48))
    gpt2 = {"model_type": "gpt2", "n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 16, "vocab_size": 20, "tie_word_embeddings": True}
    write_fixture("gpt2", gpt2, {"model.safetensors": [
        ("wte.weight", "F32", rng.normal(0, 0.02, (20, 16))), ("wpe.weight", "F32", rng.normal(0, 0.02, (16, 16))),
        ("h.0.attn.bias", "F32", np.tril(np.ones((1, 1, 16, 16)))), ("h.0.ln_1.weight", "F32", np.ones(16)),
        ("h.0.attn.c_attn.weight", "F32", values[:16]), ("h.0.attn.c_attn.bias", "F32", rng.normal(0, 0.02, 48)),
        ("h.0.attn.c_proj.weight", "F32", special(rng.normal(0, 0.02, (16, 16)), rng, 10)),
        ("h.0.mlp.c_fc.weight", "F32", -values[:16].reshape(16, 48)), ("h.0.mlp.c_proj.weight", "F32", values[16:64].reshape(144, 16)),
        ("ln_f.weight", "F32", np.ones(16)),
    ]}, {"format": "pt"})
    for dtype in ("BF16", "F16"):
        write_fixture(dtype.lower(), dict(llama, tie_word_embeddings=False), {"model.safetensors": [
            ("model.layers.0.mlp.up_proj.weight", dtype, special(grid(rng, (18, 22), 2.0 ** -9, 0.05), rng, 40)),
            ("model.layers.0.mlp.down_proj.weight", dtype, special(grid(rng, (22, 18), 2.0 ** -9, 0.05), rng, 20)),
            ("model.layers.0.mlp.gate_proj.weight", dtype, rng.normal(0, 0.05, (18, 22))),
        ]}, None)


# -- the rules --------------------------------------------------------------------------------------------------------

def smallest(magnitude, count):
    """Flat positions of the `count` smallest, ties by position, NaN never."""
    order = np.argsort(magnitude, kind="stable")  # NaN sorts last
    return order[:min(count, int((~np.isnan(magnitude)).sum()))]


def select(tensors, scope, pattern, sparsity, in_out):
    """tensors: (name, shape, |w| flat) in tie order. -> {name: selected flat positions}, selected count, threshold."""
    chosen, threshold = {}, None
    if pattern is not None or scope == "row":
        for name, shape, magnitude in tensors:
            index = np.arange(magnitude.size).reshape(shape)
            index = index.T if in_out else index  # (out, in)
            inputs = index.shape[1]
            keep, of = pattern or (None, inputs)
            drop = of - keep if pattern else round(sparsity * inputs)
            units = [row[g * of:(g + 1) * of] for row in index for g in range(inputs // of)]
            picks = [unit[smallest(magnitude[unit], drop)] for unit in units]
            if units and not all((magnitude[unit] == 0).sum() > drop for unit in units):
                chosen[name] = np.concatenate(picks)
        total = None
        return chosen, total, None
    groups = [tensors] if scope == "global" else [[t] for t in tensors]
    total = 0
    for group in groups:
        everything = np.concatenate([m for _, _, m in group])
        picks = smallest(everything, round(sparsity * everything.size))
        total += picks.size
        if picks.size == 0 or (everything == 0).sum() > picks.size:
            threshold = 0.0 if picks.size else None
            continue
        threshold = float(everything[picks].max())
        start = 0
        for name, _, magnitude in group:
            mine = picks[(picks >= start) & (picks < start + magnitude.size)] - start
            if mine.size:
                chosen[name] = mine
            start += magnitude.size
    return chosen, total, threshold if scope == "global" else None


PRUNABLE = ("_proj.weight", "c_attn.weight", "c_proj.weight", "c_fc.weight")


def run(fixture, case):
    folder = HERE / "fixtures" / fixture
    files = {path.name: read(path) for path in sorted(folder.glob("*.safetensors"))}
    tensors = {name: entry for _, entries in files.values() for name, entry in entries.items()}
    tied = [("model.embed_tokens.weight", "lm_head.weight")] if fixture == "mixed" else []
    names = {n for n in tensors if n.endswith(PRUNABLE)}
    if case.get("embeddings"):
        names.add("model.embed_tokens.weight")
    names -= set(case.get("exclude", []))
    in_scope = sorted(names, key=lambda n: [ord(c) for c in n])
    parts = [(n, tensors[n][1], magnitudes(tensors[n][0], tensors[n][3])) for n in in_scope]
    pattern = tuple(map(int, case["pattern"].split(":"))) if "pattern" in case else None
    chosen, total, threshold = select(parts, case["scope"], pattern, case.get("sparsity"), fixture == "gpt2")
    for kept, copy in tied:
        if kept in chosen:
            chosen[copy] = chosen[kept]
    hashes, zeros = {}, {}
    for file, (head, entries) in files.items():
        blob = bytearray((folder / file).read_bytes())
        for name, (dtype, _, at, raw) in entries.items():
            size = SIZES[dtype]
            for i in chosen.get(name, ()):
                blob[at + i * size:at + (i + 1) * size] = bytes(size)
            if name in in_scope:
                zeros[name] = int((magnitudes(dtype, bytes(blob[at:at + len(raw)])) == 0).sum())
        hashes[file] = hashlib.sha256(blob).hexdigest()
    n = sum(m.size for *_, m in parts)
    return dict(fixture=fixture, **case, scopeParameters=n, selected=total, threshold=None if threshold is None else "Infinity" if math.isinf(threshold) else threshold, zerosAfter={n: zeros[n] for n in in_scope}, sha256=hashes)


def main():
    make_fixtures()
    cases = []
    for fixture in ("mixed", "gpt2", "bf16", "f16"):
        for scope in ("global", "tensor", "row"):
            for sparsity in (0, 0.1, 0.25, 0.5, 0.9, 0.99, 1):
                cases.append(run(fixture, dict(scope=scope, sparsity=sparsity)))
        for pattern in ("2:4", "1:4", "4:8", "1:2", "3:5"):
            cases.append(run(fixture, dict(scope="global", pattern=pattern)))
    for sparsity in (0.3, 0.7):
        cases.append(run("mixed", dict(scope="global", sparsity=sparsity, embeddings=True, include=["lm_*"])))
        cases.append(run("mixed", dict(scope="global", sparsity=sparsity, exclude=["model.layers.1.mlp.up_proj.weight"])))
    (HERE / "golden.json").write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace('},{"fixture"', '},\n{"fixture"') + "\n")


main()
