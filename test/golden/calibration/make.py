"""Makes the golden files of test/unit/calibration/golden.test.ts: what transformers feeds every matrix of small random models.

    python test/golden/calibration/make.py     writes expected.safetensors and cases.json beside this script

The weights are those of test/golden/graph. Inputs are taken by forward hooks, F32, and summed in F64. `dense`: the model as it is, with
X^T X. `sequential`: block after block, each as it is while those before it have every weight of |w| < THRESHOLD at zero; sums of squares only.
Made with torch 2.15, transformers 5.24.
"""
import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

HERE = Path(__file__).resolve().parent
GRAPH = HERE.parent / "graph"
THRESHOLD, WINDOWS, LENGTH, ENCODER = 0.2, 3, 20, 13
KINDS = {"decoder": AutoModelForCausalLM, "encoder": AutoModelForMaskedLM, "encoder-decoder": AutoModelForSeq2SeqLM}
BLOCK = re.compile(r"^(.*?\b(?:layers?|h|block)\.\d+)\.")


def cases():
    for one in json.loads((GRAPH / "cases.json").read_text()):
        if one["name"] in ("gpt2", "llama"):
            yield one["name"], "decoder", one["config"], load_file(GRAPH / f"{one['weights']}.safetensors"), {"file": one["weights"]}
    for family, name in [("t5", "t5"), ("bert", "bert"), ("deberta-v2", "deberta-v2"), ("moe", "mixtral")]:
        listed = json.loads((GRAPH / f"families/{family}.json").read_text())
        one = next(case for case in listed["cases"] if case["name"] == name)
        tensors = {key.split("/", 1)[1]: value for key, value in load_file(GRAPH / f"families/{family}.safetensors").items() if key.split("/", 1)[0] in one["weights"]}
        yield name, listed["kind"], one["config"], tensors, {"family": family, "weights": one["weights"]}


def stacked(state, experts):
    """transformers 5 keeps the experts of a block in two tensors."""
    found = {name.replace("block_sparse_moe.gate", "mlp.gate"): value for name, value in state.items() if ".experts." not in name}
    for at in sorted({name.split(".block_sparse_moe")[0] for name in state if ".experts." in name}):
        part = lambda expert, name: state[f"{at}.block_sparse_moe.experts.{expert}.{name}.weight"]
        found[f"{at}.mlp.experts.gate_up_proj"] = torch.stack([torch.cat([part(e, "w1"), part(e, "w3")]) for e in range(experts)])
        found[f"{at}.mlp.experts.down_proj"] = torch.stack([part(e, "w2") for e in range(experts)])
    return found


class Watch:
    """The model with hooks on every matrix of a block; `weights` are the matrices by their names in the file."""

    def __init__(self, kind, config, state):
        made = AutoConfig.for_model(**{k: v for k, v in json.loads(json.dumps(config)).items() if k != "head_dim" or v is not None})
        self.model = KINDS[kind].from_config(made, attn_implementation="eager").eval()
        moe = config["model_type"] == "mixtral"
        missing, unexpected = self.model.load_state_dict({k: v.float() for k, v in (stacked(state, config["num_local_experts"]) if moe else state).items()}, strict=False)
        assert not unexpected, unexpected
        self.model.tie_weights()
        self.weights, self.seen = {}, {}
        for name, module in self.model.named_modules():
            if hasattr(module, "gate_up_proj") and module.gate_up_proj.dim() == 3:
                at = name.replace(".mlp.", ".block_sparse_moe.")
                for expert in range(config["num_local_experts"]):
                    w1, w3 = module.gate_up_proj.data[expert].chunk(2)
                    self.weights.update({f"{at}.{expert}.w1.weight": w1, f"{at}.{expert}.w3.weight": w3, f"{at}.{expert}.w2.weight": module.down_proj.data[expert]})
                module.register_forward_pre_hook(lambda module, args, at=at: self.experts(module, at, *args))
            elif type(module).__name__ in ("Linear", "Conv1D") and BLOCK.match(name):
                self.weights[f"{name}.weight"] = module.weight.data
                module.register_forward_pre_hook(lambda _, args, name=name: self.add(f"{name}.weight", args[0]))

    def experts(self, module, at, hidden, chosen, *_):
        for expert in range(module.gate_up_proj.shape[0]):
            x = hidden[(chosen == expert).any(dim=1)]
            gate, up = (x @ module.gate_up_proj[expert].T).chunk(2, dim=1)
            self.add(f"{at}.{expert}.w1.weight", x)
            self.add(f"{at}.{expert}.w3.weight", x)
            self.add(f"{at}.{expert}.w2.weight", torch.nn.functional.silu(gate) * up)

    def add(self, name, x):
        x = x.reshape(-1, x.shape[-1]).double()
        rows, moments = self.seen.get(name, (0, 0))
        self.seen[name] = (rows + x.shape[0], moments + x.T @ x)

    def run(self, windows):
        self.seen = {}
        with torch.no_grad():
            for ids, encoder in windows:
                if encoder is None:
                    self.model(ids[None])
                else:
                    self.model(input_ids=encoder[None], decoder_input_ids=ids[None], use_cache=False)
        return self.seen


def main():
    expected, listed = {}, []
    for name, kind, config, state, where in cases():
        draw = torch.Generator().manual_seed(7)
        ids = lambda count: torch.randint(0, config["vocab_size"], (count,), generator=draw)
        windows = [(ids(LENGTH), ids(ENCODER) if kind == "encoder-decoder" else None) for _ in range(WINDOWS)]
        watch = Watch(kind, config, state)
        dense, order = dict(watch.run(windows)), []
        for tensor, (rows, moments) in dense.items():
            expected[f"{name}/dense/{tensor}"] = moments.float().contiguous()
            block = BLOCK.match(tensor).group(1)
            if block not in order:
                order.append(block)
        for block in order:
            seen = watch.run(windows)
            inside = [tensor for tensor in watch.weights if BLOCK.match(tensor).group(1) == block]
            for tensor in inside:
                if tensor in seen:
                    expected[f"{name}/sequential/{tensor}"] = seen[tensor][1].diagonal().float().contiguous()
            for tensor in inside:
                watch.weights[tensor][watch.weights[tensor].abs() < THRESHOLD] = 0
        listed.append({"name": name, "kind": kind, "config": config, **where, "threshold": THRESHOLD, "blocks": len(order), "rows": {tensor: rows for tensor, (rows, _) in dense.items()},
                       "windows": [{"ids": one.tolist(), **({} if encoder is None else {"encoder": encoder.tolist()})} for one, encoder in windows]})
    save_file(expected, HERE / "expected.safetensors", metadata={"format": "pt"})
    (HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(one) for one in listed) + "\n]\n")


main()
