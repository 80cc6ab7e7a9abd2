"""Makes test/golden/pruning/methods: two small models, stored norms and second moments of their inputs, and what pruning by them must give.

Written from the papers, in F64 with numpy and torch, without Winnow's code:
- Wanda (Sun et al. 2024): score |W[i][j]| * ||x[j]||, compared within each output.
- RIA (Zhang et al. 2024): (|W[i][j]| / sum of row i + |W[i][j]| / sum of column j) * ||x[j]||^0.5, without its permutation of channels.
- SparseGPT (Frantar and Alistarh 2023): H = 2/n X^T X, dead inputs 1 on the diagonal, damping * mean(diag H) added, U the upper Cholesky factor of the
  inverse, blocks of columns, weights with the smallest w^2 / U[j][j]^2 go, errors (w - q) / U[j][j] spread by the rows of U; N:M when the sweep arrives.
- OWL (Yin et al. 2024): the share of scores above M times their mean in each block, scaled to [0, 2 lambda], shifted to the wanted mean.

The counts are Winnow's: a row or tensor loses exactly round(s * n) weights (halves to even), zeros counted first; a block of SparseGPT's columns loses
what brings the columns so far to round(s * n) (the last one therefore what makes the tensor exact); ties by flat position. Weights of dead inputs go
first, by magnitude, but not more than asked. Hessians that are not positive definite are damped ten times as much, at most three times.

    python methods.py         (numpy, torch, safetensors; writes beside itself)
"""
import json
from pathlib import Path
import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent / "methods"
LAYERS = 3

gpt2 = {"name": "gpt2", "orientation": "in-out", "config": {"model_type": "gpt2", "n_embd": 40, "n_layer": LAYERS, "n_head": 4, "n_positions": 32, "vocab_size": 64},
        "matrices": {"transformer.h.{}.attn.c_attn.weight": (40, 120), "transformer.h.{}.attn.c_proj.weight": (40, 40),
                     "transformer.h.{}.mlp.c_fc.weight": (40, 160), "transformer.h.{}.mlp.c_proj.weight": (160, 40)},
        "dead": {"transformer.h.0.mlp.c_proj.weight": [3, 64, 150]}, "zeros": "transformer.h.0.mlp.c_fc.weight", "unequal": "transformer.h.1.mlp.c_fc.weight",
        "indefinite": "transformer.h.0.attn.c_proj.weight"}
llama = {"name": "llama", "orientation": "out-in",
         "config": {"model_type": "llama", "hidden_size": 40, "intermediate_size": 172, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64,
                    "max_position_embeddings": 32, "rms_norm_eps": 1e-5},
         "matrices": {"model.layers.{}.self_attn.q_proj.weight": (40, 40), "model.layers.{}.self_attn.k_proj.weight": (20, 40), "model.layers.{}.self_attn.v_proj.weight": (20, 40),
                      "model.layers.{}.self_attn.o_proj.weight": (40, 40), "model.layers.{}.mlp.gate_proj.weight": (172, 40), "model.layers.{}.mlp.up_proj.weight": (172, 40),
                      "model.layers.{}.mlp.down_proj.weight": (40, 172)},
         "dead": {"model.layers.0.mlp.down_proj.weight": [0, 77, 130, 171]}, "zeros": "model.layers.0.self_attn.q_proj.weight", "unequal": "model.layers.1.mlp.up_proj.weight",
         "indefinite": "model.layers.0.self_attn.o_proj.weight"}
ROWS = 200


def half_even(x):
    return int(round(x))


def make(model, rng):
    """Weights as stored, and inputs X (rows, inputs): correlated, with a few channels much larger than the others."""
    weights, inputs = {}, {}
    for layer in range(LAYERS):
        shared = {}
        for pattern, shape in model["matrices"].items():
            name = pattern.format(layer)
            n = shape[0] if model["orientation"] == "in-out" else shape[1]
            w = rng.standard_t(5, shape) * 0.05
            if name == model["zeros"]:
                w[rng.random(shape) < 0.12] = 0
            weights[name] = w.astype(np.float32)
            # One input feeds query, key and value; another gate and up.
            key = (n, next((k for k in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj") if k in name), name) in ("q_proj", "k_proj", "v_proj"))
            if key not in shared or n > 100 or "o_proj" in name or "c_proj" in name:
                x = rng.normal(0, 1, (ROWS, n)) @ (np.eye(n) + rng.normal(0, 0.6 / np.sqrt(n), (n, n))) * np.exp(rng.normal(0, 0.7, n))
                x[:, rng.choice(n, 2, replace=False)] *= 8 + 6 * layer
                x[:, model["dead"].get(name, [])] = 0
                shared[key] = x.astype(np.float32).astype(np.float64)
            inputs[name] = shared[key]
    return weights, inputs


def out_in(model, w):
    return w.T.copy() if model["orientation"] == "in-out" else w.copy()


def stored_order(model, out, n):
    """Flat position as stored of each element of an (out, in) matrix."""
    at = np.arange(out * n)
    return at.reshape(n, out).T if model["orientation"] == "in-out" else at.reshape(out, n)


def smallest(scores, zero, order, count):
    """Mask (True = pruned) of the `count` smallest, zeros first, then by score, then by position."""
    flat = np.lexsort((order.ravel(), scores.ravel(), ~zero.ravel()))
    mask = np.zeros(scores.size, bool)
    mask[flat[:count]] = True
    return mask.reshape(scores.shape)


def by_row(scores, zero, sparsity):
    n = scores.shape[1]
    columns = np.arange(n).reshape(1, n)
    return np.concatenate([smallest(scores[i:i + 1], zero[i:i + 1], columns, half_even(sparsity * n)) for i in range(len(scores))])


def by_group(scores, zero, keep, of):
    mask = np.zeros(scores.shape, bool)
    for i in range(len(scores)):
        for j in range(0, scores.shape[1] - of + 1, of):
            mask[i:i + 1, j:j + of] = smallest(scores[i:i + 1, j:j + of], zero[i:i + 1, j:j + of], np.arange(of).reshape(1, of), of - keep)
    return mask


def wanda(w, norms):
    return np.abs(w) * norms


def ria(w, norms):
    a = np.abs(w)
    with np.errstate(invalid="ignore"):
        return (a / a.sum(1, keepdims=True) + a / a.sum(0, keepdims=True)) * norms ** 0.5


def sparsegpt(model, w, h, sparsity, pattern, block, damping):
    """(out, in) weights after SparseGPT, and the damping that made H positive definite."""
    w = torch.tensor(w, dtype=torch.float64)
    out, n = w.shape
    zero = w == 0
    order = torch.tensor(stored_order(model, out, n))
    h = torch.tensor(h, dtype=torch.float64) * 2 / ROWS
    dead = torch.diag(h) == 0
    h[dead, dead] = 1
    mean = torch.mean(torch.diag(h))
    for _ in range(4):
        try:
            hinv = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h + damping * mean * torch.eye(n, dtype=torch.float64))), upper=True)
            break
        except torch.linalg.LinAlgError:
            damping = max(10 * damping, 0.01)
    # What a weight of an input never seen is worth: nothing, but more than a zero.
    divisor = torch.where(dead, torch.full_like(torch.diag(hinv), 1e200), torch.diag(hinv))
    if pattern:
        block = max(1, block // pattern[1]) * pattern[1]
    later = [int(zero[:, i:i + block].sum()) for i in range(0, n, block)]
    k, done = half_even(sparsity * out * n), 0
    for index, i1 in enumerate(range(0, n, block)):
        i2 = min(i1 + block, n)
        w1, err1, hinv1 = w[:, i1:i2].clone(), torch.zeros(out, i2 - i1, dtype=torch.float64), hinv[i1:i2, i1:i2]
        mask1 = zero[:, i1:i2].clone()
        if not pattern:
            due = min(half_even(sparsity * out * i2), k - sum(later[index + 1:])) - done
            count = min(out * (i2 - i1), max(later[index], due))
            done += count
            score = (w1 / divisor[i1:i2]).abs()
            mask1 = torch.tensor(smallest(score.numpy(), mask1.numpy(), order[:, i1:i2].numpy(), count))
        for i in range(i2 - i1):
            if pattern and i % pattern[1] == 0 and i + pattern[1] <= i2 - i1:
                keep, of = pattern
                score = (w1[:, i:i + of] / divisor[i1 + i:i1 + i + of]).abs()
                for row in range(out):
                    had = mask1[row, i:i + of].clone()
                    chosen = smallest(score[row:row + 1].numpy(), had[None].numpy(), np.arange(of)[None], max(of - keep, int(had.sum())))[0]
                    mask1[row, i:i + of] = torch.tensor(chosen)
            column = w1[:, i]
            q = torch.where(mask1[:, i], torch.zeros_like(column), column)
            err = (column - q) / hinv1[i, i]
            w1[:, i:] -= err[:, None] * hinv1[i, i:]
            w1[:, i] = q
            err1[:, i] = err
        w[:, i1:i2] = w1
        w[:, i2:] -= err1 @ hinv[i1:i2, i2:]
    return w.numpy(), damping


def owl(model, weights, norms, names, sparsity, m, lam, weighted):
    """Sparsity of each block."""
    share, size = [], []
    for layer in range(LAYERS):
        scores = np.concatenate([wanda(out_in(model, weights[name]).astype(np.float64), norms[name]).ravel() for name in names if f".{layer}." in name])
        share.append(np.mean(scores > m * scores.mean()))
        size.append(scores.size)
    share = np.array(share)
    scaled = (share - share.min()) / (share.max() - share.min()) * 2 * lam
    middle = np.average(scaled, weights=size) if weighted else scaled.mean()
    return [float(1 - (x - middle + 1 - sparsity)) for x in scaled]


def main():
    HERE.mkdir(exist_ok=True)
    golden = []
    for number, model in enumerate((gpt2, llama)):
        folder = HERE / model["name"]
        folder.mkdir(exist_ok=True)
        weights, inputs = make(model, np.random.default_rng(600 + number))
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(model["config"], indent=1) + "\n")
        sums = {name: (x ** 2).sum(0) for name, x in inputs.items()}
        moments = {name: (x.T @ x).astype(np.float32) for name, x in inputs.items() if ".0." in name}
        bad = model["indefinite"]
        n = len(moments[bad])
        # Beyond what damping by 1 % or 10 % of the mean makes positive definite.
        smallest_eigenvalue = np.linalg.eigvalsh(moments[bad].astype(np.float64))[0]
        indefinite = (moments[bad] - (smallest_eigenvalue + 0.4 * np.mean(np.diag(moments[bad]))) * np.eye(n)).astype(np.float32)
        save_file({**{f"sums:{k}": v for k, v in sums.items()}, **{f"moments:{k}": v for k, v in moments.items()}, f"indefinite:{bad}": indefinite}, HERE / f"{model['name']}-statistics.safetensors")
        norms = {name: np.sqrt(v) for name, v in sums.items()}
        expected = {}

        for method, score in (("wanda", wanda), ("ria", ria)):
            for sparsity, pattern in ((0.5, None), (0.3, None), (None, (2, 4)), (None, (1, 4)), (None, (4, 8))):
                key = f"{method} {sparsity if pattern is None else f'{pattern[0]}:{pattern[1]}'}"
                for name, stored in weights.items():
                    w = out_in(model, stored).astype(np.float64)
                    scores = score(w, norms[name])
                    mask = by_row(scores, w == 0, sparsity) if pattern is None else by_group(scores, w == 0, *pattern)
                    as_stored = mask.T if model["orientation"] == "in-out" else mask
                    expected[f"{key}/{name}"] = np.packbits(as_stored.ravel() | (stored.ravel() == 0), bitorder="little")
                golden.append({"model": model["name"], "method": method, "key": key, "sparsity": sparsity, "pattern": pattern and list(pattern)})

        for sparsity, pattern, block, asked, which in ((0.5, None, 128, 0.01, "moments"), (0.7, None, 32, 0.1, "moments"), (0.5, (2, 4), 128, 0.01, "moments"), (0.5, (4, 8), 20, 0.01, "moments"), (0.5, None, 128, 0.01, "indefinite")):
            key = f"sparsegpt {sparsity if pattern is None else f'{pattern[0]}:{pattern[1]}'} {block} {which}"
            case = {"model": model["name"], "method": "sparsegpt", "key": key, "sparsity": sparsity, "pattern": pattern and list(pattern), "block": block, "damping": asked, "which": which, "tensors": {}}
            for name in (moments if which == "moments" else [bad]):
                h = (indefinite if which == "indefinite" else moments[name]).astype(np.float64)
                w = out_in(model, weights[name]).astype(np.float64)
                new, damping = sparsegpt(model, w, h, sparsity, pattern, block, asked)
                change = new - w
                case["tensors"][name] = {"zeros": int((new == 0).sum()), "damping": damping, "error": float(np.einsum("ij,jk,ik->", change, h, change))}
                if which == "indefinite":
                    assert damping > asked, damping
                expected[f"{key}/{name}"] = (new.T if model["orientation"] == "in-out" else new).astype(np.float32)
            golden.append(case)

        for names, weighted in ((list(weights), True), ([n for n in weights if n != model["unequal"]], True), ([n for n in weights if n != model["unequal"]], False)):
            golden.append({"model": model["name"], "method": "owl", "exclude": [n for n in weights if n not in names], "m": 5, "lambda": 0.08, "published": not weighted, "sparsity": 0.6,
                           "blocks": owl(model, weights, norms, names, 0.6, 5, 0.08, weighted)})
        save_file({k: np.ascontiguousarray(v) for k, v in expected.items()}, HERE / f"{model['name']}-expected.safetensors")
    (HERE / "methods.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
