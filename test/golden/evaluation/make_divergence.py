"""Golden values of KL divergence and same top-1 between two models, in F64 by transformers.

    python test/golden/evaluation/make_divergence.py        # needs torch, transformers, safetensors, tokenizers; dist/sample.txt

Writes divergence.json beside itself. The figures are those that llama.cpp's `llama-perplexity --kl-divergence` prints (tools/perplexity):
of each scored token, sum p (log p - log q) with p the base model's; whether both have the same most probable token; p_q - p_p of the token.
"""
import json
from pathlib import Path
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
GRAPH = HERE.parent / "graph"
CASES = {case["name"]: case for case in json.loads((GRAPH / "cases.json").read_text())}


def small(name):
    case = CASES[name]
    config = AutoConfig.for_model(**json.loads(json.dumps(case["config"])))
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).eval()
    model.load_state_dict({k: v.float() for k, v in load_file(GRAPH / f"{case['weights']}.safetensors").items()}, strict=False)
    model.tie_weights()
    return model.double()


def log_probabilities(model, ids):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)


def figures(windows, model, reference):
    """windows: ids and the first scored position of each."""
    kl, same, change, losses = [], [], [], []
    for ids, first in windows:
        q, p = log_probabilities(model, ids)[first - 1:-1], log_probabilities(reference, ids)[first - 1:-1]
        target = torch.tensor(ids[first:])[:, None]
        kl += (p.exp() * (p - q)).sum(-1).tolist()
        same += (p.argmax(-1) == q.argmax(-1)).double().tolist()
        change += (q.gather(1, target).exp() - p.gather(1, target).exp())[:, 0].tolist()
        losses += (-p.gather(1, target))[:, 0].tolist()
    kl, same, change = np.array(kl), np.array(same), np.array(change)
    n = len(kl)
    return {"scoredTokens": n, "mean": kl.mean(), "errorIid": np.sqrt(kl.var() / (n - 1)), "median": np.quantile(kl, 0.5), "p99": np.quantile(kl, 0.99), "max": kl.max(),
            "sameTop1": same.mean(), "sameTop1ErrorIid": np.sqrt(same.mean() * (1 - same.mean()) / (n - 1)),
            "changeMean": change.mean(), "changeRms": np.sqrt((change ** 2).mean()), "referenceLoss": float(np.mean(losses)), "first": kl[:8].tolist()}


def sample(threshold):
    """tiny-gpt2 with every |w| <= threshold in the matrices of its blocks gone, four windows of the sample by hf-stride 256 / 128."""
    folder = ROOT / "media/tiny-gpt2"
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode((ROOT / "dist/sample.txt").read_text(encoding="utf8"), add_special_tokens=False).ids
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval().double()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval().double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".h." in name and weight.dim() == 2:
                weight[weight.abs() <= threshold] = 0
    return figures([(ids[i * 128:i * 128 + 256], 1 if i == 0 else 128) for i in range(4)], model, reference)


def pair(model, reference):
    ids = CASES[reference]["ids"]
    return {"model": model, "reference": reference, **figures([(ids, 1)], small(model), small(reference))}


pairs = [pair("gpt2 bf16", "gpt2"), pair("gpt2 epsilon", "gpt2"), pair("gpt2 gelu", "gpt2"), pair("llama rms_norm_eps", "llama"), pair("mistral sliding", "llama"), pair("qwen2", "qwen3")]
THRESHOLDS = [0.0005, 0.02, 0.06]
out = {"pairs": pairs, "sample": [{"threshold": t, **sample(t)} for t in THRESHOLDS]}
(HERE / "divergence.json").write_text(json.dumps(out, indent=1) + "\n")
