"""Makes the golden files of test/unit/graph: small seeded random checkpoints and what transformers computes from them.

    python test/golden/graph/make.py            writes beside this script
    python test/golden/graph/make.py --shared DIR   also the reference values of DIR/models/{tiny-gpt2,stories260k-llama}

Weights are widened to F32 before the model runs (attention: eager). One weight file serves every configuration that
has its tensors. Made with torch 2.15, transformers 5.24.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
VOCAB, WIDTH, INNER, LAYERS = 61, 32, 40, 2

GPT2 = dict(model_type="gpt2", vocab_size=VOCAB, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_positions=48)
LLAMA = dict(model_type="llama", vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=2,
             num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False)
MISTRAL = {**LLAMA, "model_type": "mistral"}
QWEN2 = {**LLAMA, "model_type": "qwen2", "num_attention_heads": 4, "num_key_value_heads": 2}
QWEN3 = {**LLAMA, "model_type": "qwen3", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-6}

# Weight files: the configuration whose tensors they hold, the dtype, and whether names lose their prefix.
WEIGHTS = {
    "gpt2": (GPT2, "F32"),
    "gpt2-inner": ({**GPT2, "n_inner": 24}, "F32"),
    "gpt2-untied": ({**GPT2, "tie_word_embeddings": False}, "F32"),
    "gpt2-f16": (GPT2, "F16"),
    "gpt2-bf16": (GPT2, "BF16"),
    "llama": (LLAMA, "F32"),
    "llama-tied": ({**LLAMA, "tie_word_embeddings": True}, "F32"),
    "llama-mha-bias": ({**LLAMA, "num_attention_heads": 4, "num_key_value_heads": 4, "attention_bias": True, "mlp_bias": True}, "F32"),
    "llama-head16": ({**LLAMA, "head_dim": 16, "num_attention_heads": 6, "num_key_value_heads": 3, "hidden_size": 30}, "F32"),
    "llama-f16": ({**LLAMA, "tie_word_embeddings": True}, "F16"),
    "llama-bf16": (LLAMA, "BF16"),
    "qwen2": (QWEN2, "F32"),
    "qwen3": (QWEN3, "F32"),
    "qwen3-bias": ({**QWEN3, "head_dim": 12, "attention_bias": True, "tie_word_embeddings": True}, "BF16"),
}

LLAMA3 = dict(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
# Cases: weight file, changes to its configuration (None removes a key), tokens.
CASES = {
    "gpt2": ("gpt2", {}, 40),
    "gpt2 without the prefix": ("gpt2", {}, 40),
    "gpt2 at its longest": ("gpt2", {}, 48),
    "gpt2 n_inner": ("gpt2-inner", {"n_inner": 24}, 20),
    "gpt2 untied": ("gpt2-untied", {"tie_word_embeddings": False}, 20),
    "gpt2 f16": ("gpt2-f16", {}, 40),
    "gpt2 bf16": ("gpt2-bf16", {}, 40),
    "gpt2 unscaled": ("gpt2", {"scale_attn_weights": False}, 20),
    "gpt2 scaled by layer": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, 20),
    "gpt2 upcast": ("gpt2", {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True}, 20),
    "gpt2 epsilon": ("gpt2", {"layer_norm_epsilon": 0.01}, 20),
    **{f"gpt2 {act}": ("gpt2", {"activation_function": act}, 20) for act in
       ["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "silu", "tanh", "quick_gelu", "relu2", "relu6", "sigmoid", "mish", "linear"]},
    "llama": ("llama", {}, 40),
    "llama default kv heads": ("llama-mha-bias", {"num_key_value_heads": None, "attention_bias": True, "mlp_bias": True}, 40),
    "llama tied": ("llama-tied", {"tie_word_embeddings": True}, 40),
    "llama head_dim": ("llama-head16", {}, 40),
    "llama f16": ("llama-f16", {"tie_word_embeddings": True}, 40),
    "llama bf16": ("llama-bf16", {}, 40),
    "llama gelu": ("llama", {"hidden_act": "gelu"}, 20),
    "llama relu": ("llama", {"hidden_act": "relu"}, 20),
    "llama gelu_pytorch_tanh": ("llama", {"hidden_act": "gelu_pytorch_tanh"}, 20),
    "llama rms_norm_eps": ("llama", {"rms_norm_eps": 0.05}, 20),
    "llama theta, as transformers 4 writes it": ("llama", {"rope_theta": 500.0}, 40),
    "llama theta, as transformers 5 writes it": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, 40),
    "llama linear, type": ("llama", {"rope_theta": 1000.0, "rope_scaling": {"type": "linear", "factor": 2.5}}, 40),
    "llama linear, rope_parameters": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 1000.0}}, 40),
    "llama dynamic, within its context": ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 40),
    "llama dynamic, beyond its context": ("llama", {"max_position_embeddings": 16, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 40),
    "llama dynamic, longer window beyond its context": ("llama", {"max_position_embeddings": 16, "rope_parameters": {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 5000.0}}, 63),
    "llama llama3": ("llama", {"rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}, 63),
    "llama llama3, rope_parameters": ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, **LLAMA3}}, 63),
    "llama yarn": ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}, 63),
    "llama yarn, every knob": ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 3000.0, "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 16, "beta_slow": 2, "mscale": 0.7, "mscale_all_dim": 1.3, "truncate": False}}, 63),
    "llama yarn, attention_factor": ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32, "attention_factor": 0.8}}, 63),
    "llama partial_rotary_factor of the default type": ("llama", {"partial_rotary_factor": 0.5}, 20),
    "mistral": ("llama", {"model_type": "mistral", "sliding_window": None}, 40),
    "mistral sliding": ("llama", {"model_type": "mistral", "sliding_window": 7}, 40),
    "mistral sliding by one": ("llama", {"model_type": "mistral", "sliding_window": 1}, 20),
    "mistral window as long as the text": ("llama", {"model_type": "mistral", "sliding_window": 40}, 40),
    "mistral window one shorter than the text": ("llama", {"model_type": "mistral", "sliding_window": 39}, 40),
    "mistral tied": ("llama-tied", {"model_type": "mistral", "tie_word_embeddings": True, "sliding_window": 12}, 40),
    "qwen2": ("qwen2", {"sliding_window": 5, "use_sliding_window": False}, 40),
    "qwen2 sliding from a layer on": ("qwen2", {"sliding_window": 5, "use_sliding_window": True, "max_window_layers": 1}, 40),
    "qwen2 layer_types": ("qwen2", {"sliding_window": 6, "use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"]}, 40),
    "qwen2 yarn": ("qwen2", {"rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}, 63),
    "qwen3": ("qwen3", {}, 40),
    "qwen3 sliding": ("qwen3", {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 1}, 40),
    "qwen3 bias, tied, bf16": ("qwen3-bias", {"head_dim": 12, "attention_bias": True, "tie_word_embeddings": True}, 40),
}
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def build(config):
    made = AutoConfig.for_model(**json.loads(json.dumps(config)))
    made._attn_implementation = "eager"
    return AutoModelForCausalLM.from_config(made).eval()


def make_weights(config, dtype):
    """Wide weights, norms away from one and biases away from zero, so that a wrong term shows."""
    state = {}
    tied = config.get("tie_word_embeddings", config["model_type"] == "gpt2")
    for name, tensor in build(config).state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        noise = torch.randn(tensor.shape)
        norm = "norm" in name or ".ln_" in name
        value = 1 + 0.2 * noise if norm and name.endswith("weight") else 0.2 * noise if tensor.dim() == 1 else 0.3 * noise
        state[name] = value.to(DTYPES[dtype]).contiguous()
    return state


def reference(model, ids):
    with torch.no_grad():
        logits = model(ids[None], use_cache=False).logits[0]
    losses = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
    return logits, losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path)
    options = parser.parse_args()
    torch.manual_seed(20240607)
    for name, (config, dtype) in WEIGHTS.items():
        save_file(make_weights(config, dtype), HERE / f"{name}.safetensors", metadata={"format": "pt"})
    # A base-model export: the same tensors without `transformer.`.
    plain = {name.removeprefix("transformer."): t for name, t in load_file(HERE / "gpt2.safetensors").items()}
    save_file(plain, HERE / "gpt2-plain.safetensors", metadata={"format": "pt"})

    cases, expected = [], {}
    for name, (weights, changes, tokens) in CASES.items():
        config = {k: v for k, v in {**WEIGHTS[weights][0], **changes}.items()}
        model = build(config)
        state = {k: v.float() for k, v in load_file(HERE / f"{weights}.safetensors").items()}
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}, (name, missing, unexpected)
        model.tie_weights()
        ids = torch.randint(0, VOCAB, (tokens,), generator=torch.Generator().manual_seed(tokens))
        logits, losses = reference(model, ids)
        expected[f"{name}/logits"] = logits.contiguous()
        expected[f"{name}/losses"] = losses.contiguous()
        cases.append({"name": name, "weights": "gpt2-plain" if "prefix" in name else weights, "config": config, "ids": ids.tolist()})
    save_file(expected, HERE / "expected.safetensors")
    (HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")

    if options.shared:
        found = {}
        for name, tokens in (("tiny-gpt2", 200), ("stories260k-llama", 200)):
            model = AutoModelForCausalLM.from_pretrained(options.shared / "models" / name, dtype=torch.float32, attn_implementation="eager").eval()
            ids = torch.tensor([(i * i * 31 + i * 7 + 3) % model.config.vocab_size for i in range(tokens)])
            logits, losses = reference(model, ids)
            # The whole of the losses; of the logits every 20th position.
            found[f"{name}/logits"] = logits[::20].contiguous()
            found[f"{name}/losses"] = losses.contiguous()
        save_file(found, HERE / "shared.safetensors")


main()
