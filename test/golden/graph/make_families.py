"""Makes the golden files of test/unit/graph/families.test.ts: small seeded random checkpoints and what transformers computes from them.

    python test/golden/graph/make_families.py [family ...]   writes families/<family>.{json,safetensors} beside this script

One safetensors file a family holds the weights of all its variants (`<weights>/<name>`: split into files by the test) and
the expected logits and losses (`expected/<case>/...`). Weights are widened to F32 before the model runs (attention: eager).
Made with torch 2.15, transformers 5.24.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

HERE = Path(__file__).resolve().parent / "families"
VOCAB = 61
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
KINDS = {"decoder": AutoModelForCausalLM, "encoder": AutoModelForMaskedLM, "encoder-decoder": AutoModelForSeq2SeqLM}

T5 = dict(model_type="t5", vocab_size=VOCAB, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_decoder_layers=3, num_heads=3,
          relative_attention_num_buckets=8, relative_attention_max_distance=16, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)

MT5 = {**T5, "model_type": "mt5"}
UMT5 = {**T5, "model_type": "umt5", "feed_forward_proj": "gated-gelu"}

BERT = dict(model_type="bert", vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=40)
ALBERT = {**BERT, "model_type": "albert", "embedding_size": 12, "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2}

DEBERTA = dict(model_type="deberta-v2", vocab_size=VOCAB, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40, max_position_embeddings=40,
               relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
               conv_kernel_size=3, conv_act="gelu", legacy=False)

OPT = dict(model_type="opt", vocab_size=VOCAB, hidden_size=24, ffn_dim=40, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=40)
NEOX = dict(model_type="gpt_neox", vocab_size=VOCAB, hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=40)
GPTJ = dict(model_type="gptj", vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, rotary_dim=8, n_positions=40, tie_word_embeddings=False)
BLOOM = dict(model_type="bloom", vocab_size=VOCAB, hidden_size=24, n_layer=2, n_head=3)
PHI = dict(model_type="phi", vocab_size=VOCAB, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40)

GEMMA = dict(model_type="gemma", vocab_size=VOCAB, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=64)
GEMMA2 = {**GEMMA, "model_type": "gemma2", "query_pre_attn_scalar": 20, "sliding_window": 7, "num_hidden_layers": 3}
GEMMA3 = {**GEMMA, "model_type": "gemma3_text", "query_pre_attn_scalar": 20, "sliding_window": 7, "num_hidden_layers": 4}

SIGLIP = dict(model_type="siglip_vision_model", hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
SEEING = dict(model_type="gemma3", text_config={**GEMMA3, "max_position_embeddings": 64}, vision_config=SIGLIP, mm_tokens_per_image=4)

MOE = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64, num_experts_per_tok=2)
MIXTRAL = {**MOE, "model_type": "mixtral", "num_local_experts": 4}
QWEN2_MOE = {**MOE, "model_type": "qwen2_moe", "num_experts": 5, "moe_intermediate_size": 12, "shared_expert_intermediate_size": 16, "head_dim": None, "hidden_size": 32}
QWEN3_MOE = {**MOE, "model_type": "qwen3_moe", "num_experts": 6, "moe_intermediate_size": 12, "num_hidden_layers": 3, "mlp_only_layers": [1]}

# family: kind, weights {name: (config, dtype)}, cases {name: (weights, changes to the config, tokens[, encoder tokens])}
FAMILIES = {
    "t5": ("encoder-decoder", {
        "relu": (T5, "F32"),
        "gated": ({**T5, "feed_forward_proj": "gated-gelu"}, "F32"),
        "gated-f16": ({**T5, "feed_forward_proj": "gated-gelu"}, "F16"),
        "gated-bf16": ({**T5, "feed_forward_proj": "gated-silu"}, "BF16"),
        "large-f16": ({**T5, "feed_forward_proj": "gated-gelu"}, "F16"),
        "mt5": (MT5, "F32"),
        "umt5": (UMT5, "BF16"),
    }, {
        "t5": ("relu", {}, 20, 23),
        "t5 beyond its buckets": ("relu", {}, 40, 50),
        "t5 one token to the encoder": ("relu", {}, 9, 1),
        "t5 tied, as transformers 4 says it": ("relu", {"tie_word_embeddings": True}, 12, 12),
        "t5 gelu": ("relu", {"feed_forward_proj": "gelu", "layer_norm_epsilon": 0.01}, 12, 12),
        "t5 v1.1, untied": ("gated", {"tie_word_embeddings": False, "own head": True}, 20, 23),
        "t5 v1.1, as transformers 5 writes it": ("gated", {"tie_word_embeddings": True, "scale_decoder_outputs": False, "own head": True}, 20, 23),
        "t5 v1.1, no head in the file": ("gated", {"tie_word_embeddings": False}, 20, 23),
        "t5 scaled, as transformers 5 writes it": ("gated", {"tie_word_embeddings": True, "scale_decoder_outputs": True}, 20, 23),
        "t5 v1.1 f16": ("gated-f16", {"tie_word_embeddings": False}, 20, 23),
        "t5 v1.1 bf16, silu": ("gated-bf16", {"tie_word_embeddings": False}, 20, 23),
        "t5 v1.1 f16, activations that F16 cannot hold": ("large-f16", {"tie_word_embeddings": False}, 20, 23),
        "mt5, a head of its own": ("mt5", {"tie_word_embeddings": False, "own head": True}, 20, 23),
        "mt5 defaults, no head in the file": ("mt5", {"feed_forward_proj": None}, 20, 23),
        "umt5: a bias of positions in every block": ("umt5", {"tie_word_embeddings": False}, 20, 23),
        "umt5 scaled": ("umt5", {"tie_word_embeddings": True}, 12, 12),
    }),
    "bert": ("encoder", {"bert": (BERT, "F32"), "bf16": (BERT, "BF16")}, {
        "bert": ("bert", {}, 40),
        "bert relu, epsilon": ("bert", {"hidden_act": "relu", "layer_norm_eps": 0.01}, 12),
        "bert bf16": ("bf16", {}, 20),
    }),
    "roberta": ("encoder", {"roberta": ({**BERT, "model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1}, "F16")}, {
        "roberta": ("roberta", {}, 38),
        "roberta gelu_new, its head not": ("roberta", {"hidden_act": "gelu_new"}, 12),
        "xlm-roberta, another padding": ("roberta", {"model_type": "xlm-roberta", "pad_token_id": 3}, 12),
    }),
    "albert": ("encoder", {"albert": (ALBERT, "F32"), "one": ({**ALBERT, "num_hidden_groups": 1, "inner_group_num": 1}, "F32")}, {
        "albert": ("albert", {}, 40),
        "albert, one block": ("one", {"hidden_act": "gelu"}, 12),
    }),
    "opt": ("decoder", {"opt": (OPT, "F16"), "350m": ({**OPT, "word_embed_proj_dim": 12, "do_layer_norm_before": False}, "F32"), "bare": ({**OPT, "enable_bias": False, "tie_word_embeddings": False, "_remove_final_layer_norm": True}, "F32")}, {
        "opt": ("opt", {}, 40),
        "opt-350m: norms after, a narrow embedding": ("350m", {}, 20),
        "opt without biases or last norm, untied": ("bare", {"activation_function": "gelu"}, 20),
    }),
    "gpt-neox": ("decoder", {"neox": (NEOX, "F16"), "untied": (NEOX, "F32"), "tied": ({**NEOX, "tie_word_embeddings": True, "attention_bias": False}, "F32")}, {
        "pythia, as transformers 4 writes it": ("neox", {"rotary_pct": 0.25, "rotary_emb_base": 5000}, 40),
        "pythia, as transformers 5 writes it": ("neox", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}}, 40),
        "gpt-neox defaults, residuals in sequence": ("neox", {"use_parallel_residual": False, "layer_norm_eps": 0.01}, 40),
        "gpt-neox as transformers 5 names it": ("untied", {}, 12),
        "gpt-neox tied, no attention bias, whole head rotated": ("tied", {"rotary_pct": 1.0, "hidden_act": "gelu_new"}, 40),
    }),
    "gptj": ("decoder", {"gptj": (GPTJ, "F16")}, {
        "gptj": ("gptj", {}, 40),
        "gptj whole head rotated": ("gptj", {"rotary_dim": 16, "activation_function": "gelu"}, 20),
    }),
    "bloom": ("decoder", {"bloom": (BLOOM, "F16"), "even": ({**BLOOM, "n_head": 4, "hidden_size": 16, "tie_word_embeddings": False}, "F32")}, {
        "bloom": ("bloom", {}, 40),
        "bloom, heads a power of two, untied": ("even", {"layer_norm_epsilon": 0.01}, 20),
        "bloom, residual of the norm": ("bloom", {"apply_residual_connection_post_layernorm": True}, 20),
    }),
    "phi": ("decoder", {"phi": (PHI, "F16"), "grouped": ({**PHI, "num_key_value_heads": 2}, "F32")}, {
        "phi": ("phi", {}, 40),
        "phi partial_rotary_factor": ("phi", {"partial_rotary_factor": 0.25, "rope_theta": 500.0}, 20),
        "phi grouped queries": ("grouped", {"hidden_act": "relu"}, 20),
    }),
    "gemma": ("decoder", {"gemma": (GEMMA, "BF16"), "gemma2": (GEMMA2, "BF16"), "gemma3": (GEMMA3, "BF16"), "biased": ({**GEMMA2, "attention_bias": True, "tie_word_embeddings": False, "head_dim": 12}, "F16")}, {
        "gemma": ("gemma", {"rope_theta": 10000.0}, 40),
        "gemma gelu": ("gemma", {"hidden_act": "gelu", "rms_norm_eps": 0.01}, 12),
        "gemma2": ("gemma2", {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}, 40),
        "gemma2 with its own caps": ("gemma2", {}, 20),
        "gemma2 without caps, layer_types": ("gemma2", {"attn_logit_softcapping": "none", "final_logit_softcapping": "none", "layer_types": ["full_attention", "sliding_attention", "sliding_attention"]}, 20),
        "gemma2 biased, untied, another head width": ("biased", {"attn_logit_softcapping": 2.0}, 20),
        "gemma3, as transformers 4 writes it": ("gemma3", {"rope_theta": 50000.0, "rope_local_base_freq": 300.0, "sliding_window_pattern": 2, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, 40),
        "gemma3, as transformers 5 writes it": ("gemma3", {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 200.0}}, "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]}, 40),
        "gemma3 defaults": ("gemma3", {"final_logit_softcapping": 4.0}, 20),
    }),
    # transformers 4 wrote `language_model.model.*`, `vision_tower.*`, `multi_modal_projector.*`, as the published files have it.
    "gemma3": ("decoder", {"published": (SEEING, "BF16"), "five": (SEEING, "F32")}, {
        "gemma3 with vision, as it is published": ("published", {}, 40),
        "gemma3 with vision, as transformers 5 names it": ("five", {}, 20),
    }),
    "moe": ("decoder", {"mixtral": (MIXTRAL, "BF16"), "qwen2": (QWEN2_MOE, "BF16"), "qwen3": (QWEN3_MOE, "F16"), "qwen3-step": ({**QWEN3_MOE, "mlp_only_layers": [], "decoder_sparse_step": 2, "num_hidden_layers": 2, "attention_bias": True}, "BF16")}, {
        "mixtral": ("mixtral", {}, 40),
        "mixtral sliding, one expert a token": ("mixtral", {"sliding_window": 5, "num_experts_per_tok": 1}, 20),
        "mixtral, three tokens: experts without any": ("mixtral", {}, 3),
        "qwen2-moe": ("qwen2", {}, 40),
        "qwen2-moe normalised": ("qwen2", {"norm_topk_prob": True}, 20),
        "qwen3-moe": ("qwen3", {"norm_topk_prob": True, "num_experts_per_tok": 3}, 40),
        "qwen3-moe in every other block, sliding": ("qwen3-step", {"use_sliding_window": True, "sliding_window": 6}, 20),
    }),
    "deberta-v2": ("encoder", {
        "full": (DEBERTA, "F32"),
        "legacy": ({**DEBERTA, "legacy": True, "conv_kernel_size": 0, "share_att_key": False, "norm_rel_ebd": "none", "position_buckets": -1, "max_relative_positions": 12}, "F16"),
        "biased": ({**DEBERTA, "legacy": True, "conv_kernel_size": 5, "conv_groups": 2, "conv_act": "tanh", "position_biased_input": True, "type_vocab_size": 2, "pos_att_type": ["c2p"], "share_att_key": False, "embedding_size": 16, "attention_head_size": 8}, "F32"),
        "absolute": ({**DEBERTA, "relative_attention": False, "norm_rel_ebd": "none", "conv_kernel_size": 0, "position_biased_input": True, "pos_att_type": None}, "BF16"),
    }, {
        "deberta-v2": ("full", {}, 40),
        "deberta-v2 as Microsoft published it": ("full", {"legacy": None, "load": {"legacy": False}, "max_relative_positions": -1}, 20),
        "deberta-v2 p2c alone": ("full", {"pos_att_type": ["p2c"]}, 20),
        "deberta-v2 enhanced mask decoder": ("full", {"emd": True}, 30),
        "deberta-v2 with positions that it does not decode with": ("full", {"emd": "plain"}, 30),
        "deberta-v2 legacy head, keys of its own, no buckets": ("legacy", {"relative_attention": True}, 40),
        "deberta-v2 biased input, narrow embedding, grouped convolution": ("biased", {}, 40),
        "deberta-v2 without relative attention": ("absolute", {}, 20),
    }),
}


def build(kind, config):
    made = AutoConfig.for_model(**{k: v for k, v in json.loads(json.dumps(config)).items() if k != "head_dim" or v is not None})
    made._attn_implementation = "eager"
    return KINDS[kind].from_config(made, attn_implementation="eager").eval()


def make_weights(model, dtype, large=False):
    """Wide weights, norms away from one and biases away from zero, so that a wrong term shows. One copy of tied tensors."""
    state, seen = {}, {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen and tensor.numel() > 1:
            continue
        seen[tensor.data_ptr()] = name
        noise = torch.randn(tensor.shape)
        if name.endswith("position_ids"):
            continue
        norm = "norm" in name.lower() or ".ln_" in name
        if large and name.endswith(("wi_0.weight", "wi_1.weight")):
            noise = 200 * noise
        value = 1 + 0.2 * noise if norm and name.endswith("weight") else 0.2 * noise if tensor.dim() == 1 else 0.3 * noise
        state[name] = value.to(DTYPES[dtype]).contiguous()
    return state


def enhanced_mask_decoder(model, ids):
    """From Microsoft's masked-language-model application: the last layer twice, asked by its input plus the absolute positions."""
    deberta = model.deberta
    mask = torch.ones(1, 1, len(ids), len(ids))
    hidden = deberta(ids[None], output_hidden_states=True).hidden_states[-2]
    query = hidden + model.position_embeddings[: len(ids)]
    for _ in range(2):
        query = deberta.encoder.layer[-1](hidden, mask, query_states=query, relative_pos=None, rel_embeddings=deberta.encoder.get_rel_embedding())[0]
    return model.lm_predictions(query, deberta.embeddings.word_embeddings)[0]


def published(label, state):
    """Names and tensors as files have them: transformers 5 renames GPT-NeoX's head and stacks the experts as it loads."""
    found = {}
    for name, tensor in state.items():
        if (label, name) == ("neox", "lm_head.weight"):
            found["embed_out.weight"] = tensor
        elif label == "published":
            found[name.replace("model.language_model.", "language_model.model.").replace("model.vision_tower.", "vision_tower.vision_model.").replace("model.multi_modal_projector.", "multi_modal_projector.")] = tensor
        elif name.endswith((".experts.gate_up_proj", ".experts.down_proj")):
            at, part = name.rsplit(".", 1)
            names = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"} if label == "mixtral" else {n: n for n in ("gate_proj", "up_proj", "down_proj")}
            at = at.replace(".mlp.", ".block_sparse_moe.") if label == "mixtral" else at
            for expert, stacked in enumerate(tensor):
                parts = zip(("gate_proj", "up_proj"), stacked.chunk(2)) if part == "gate_up_proj" else [("down_proj", stacked)]
                found.update({f"{at}.{expert}.{names[key]}.weight": value.contiguous() for key, value in parts})
        else:
            found[name.replace(".mlp.gate.", ".block_sparse_moe.gate.") if label == "mixtral" else name] = tensor
    return found


def run(kind, model, ids, encoder_ids):
    with torch.no_grad():
        if getattr(model, "position_embeddings", None) is not None:
            logits = enhanced_mask_decoder(model, ids)
            return logits, torch.nn.functional.cross_entropy(logits, ids, reduction="none")
        if kind == "encoder-decoder":
            logits = model(input_ids=encoder_ids[None], decoder_input_ids=ids[None], use_cache=False).logits[0]
        elif kind == "decoder":
            logits = model(ids[None], use_cache=False).logits[0]
        else:
            return (logits := model(ids[None]).logits[0]), torch.nn.functional.cross_entropy(logits, ids, reduction="none")
    return logits, torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")


def family(name):
    kind, weights, cases = FAMILIES[name]
    torch.manual_seed(20240607)
    tensors, listed = {}, []
    states = {}
    for label, (config, dtype) in weights.items():
        states[label] = make_weights(build(kind, config), dtype, label.startswith("large"))
        tensors.update({f"{label}/{key}": value for key, value in published(label, states[label]).items()})
    for case, (label, changes, tokens, *rest) in cases.items():
        # None leaves a key out, "none" writes a null.
        config = {k: None if v == "none" else v for k, v in {**weights[label][0], **changes}.items() if v is not None}
        own_head, emd, load = config.pop("own head", False), config.pop("emd", False), config.pop("load", {})
        model = build(kind, {**config, **load})
        # Set beside the library's own attributes: only the reference decoder knows it.
        model.position_embeddings = None
        state = {k: v.float() for k, v in states[label].items()}
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected, (case, unexpected)
        model.tie_weights()
        if own_head:
            # A head of its own, stored beside the table: not tied, whatever the configuration says.
            key = f"{label}+head"
            if key not in states:
                states[key] = {**states[label], "lm_head.weight": 0.3 * torch.randn(VOCAB, model.config.d_model)}
                tensors[f"{key}/lm_head.weight"] = states[key]["lm_head.weight"]
            model.lm_head.weight = torch.nn.Parameter(states[key]["lm_head.weight"].float())
        if emd:
            key = f"{label}+positions"
            if key not in states:
                states[key] = {"deberta.embeddings.position_embeddings.weight": 0.5 * torch.randn(40, 24)}
                tensors.update({f"{key}/{k}": v for k, v in states[key].items()})
            if emd is True:
                model.position_embeddings = states[key]["deberta.embeddings.position_embeddings.weight"]
        draw = torch.Generator().manual_seed(tokens)
        ids = torch.randint(0, VOCAB, (tokens,), generator=draw)
        encoder_ids = torch.randint(0, VOCAB, (rest[0],), generator=draw) if rest else None
        if label.startswith("large"):
            # What F16 cannot hold is seen where `wo` reads and writes.
            largest, hooks = [], [module.register_forward_hook(lambda _, inputs, output: largest.append(output.abs().max().item())) for name, module in model.named_modules() if name.endswith(".wo")]
            run(kind, model, ids, encoder_ids)
            assert max(largest) > 65504, largest
            for hook in hooks:
                hook.remove()
        logits, losses = run(kind, model, ids, encoder_ids)
        tensors[f"expected/{case}/logits"] = logits.contiguous()
        tensors[f"expected/{case}/losses"] = losses.contiguous()
        listed.append({"name": case, "weights": [label, f"{label}+head"] if own_head else [label, f"{label}+positions"] if emd else [label], **({"decoder": "plain"} if emd == "plain" else {}), "config": config, "ids": ids.tolist(),
                       **({"encoderIds": encoder_ids.tolist()} if rest else {})})
    HERE.mkdir(exist_ok=True)
    save_file(tensors, HERE / f"{name}.safetensors", metadata={"format": "pt"})
    (HERE / f"{name}.json").write_text(json.dumps({"kind": kind}) [:-1] + ', "cases": [\n' + ",\n".join(json.dumps(one) for one in listed) + "\n]}\n")


def buckets():
    """Which bucket each relative position is in, at the sizes of published models."""
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position
    from transformers.models.t5.modeling_t5 import T5Attention
    found = {"t5": [], "deberta": []}
    for span, count, distance in [(600, 32, 128), (300, 8, 16), (1100, 64, 1000)]:
        for both in (True, False):
            relative = torch.arange(1 - span, span)
            found["t5"].append({"span": span, "buckets": count, "distance": distance, "bothWays": both, "values": T5Attention._relative_position_bucket(relative, both, count, distance).tolist()})
    for length, count, most in [(512, 256, 512), (256, 64, 256), (1024, 32, 600), (40, 8, 40)]:
        at = torch.zeros(1, length, 1)
        all_pairs = build_relative_position(at, at, count, most)[0]
        row = torch.cat([all_pairs[0].flip(0)[:-1], all_pairs[:, 0]])
        found["deberta"].append({"length": length, "buckets": count, "maxRelative": most, "span": count, "values": torch.clamp(row + count, 0, 2 * count - 1).tolist()})
    (HERE / "buckets.txt").write_text(json.dumps(found, separators=(",", ":")).replace("{\"span", "\n{\"span").replace("{\"length", "\n{\"length") + "\n")


if not sys.argv[1:]:
    buckets()
for wanted in sys.argv[1:] or FAMILIES:
    family(wanted)
