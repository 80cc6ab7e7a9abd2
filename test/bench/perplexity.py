"""Peer of `winnow eval`: the loop that people write over transformers, on the same model folder, text and windows, F32. Prints JSON.

hf-stride is the Hugging Face perplexity guide; prefix-lm gives the first half of each window and the end token to the encoder and
scores the second half in the decoder.
"""
import json, math, os, sys, time
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

folder, text_path, protocol, context, stride, limit, threads = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:8])
torch.set_num_threads(threads)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = (AutoModelForSeq2SeqLM if protocol == "prefix-lm" else AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32).eval()
text = open(text_path, encoding="utf-8", newline="").read()
total, scored, previous, windows, fed, busy = 0.0, 0, 0, 0, 0, 0.0
with torch.inference_mode():
    if protocol == "prefix-lm":
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        half = context // 2
        end_token = torch.tensor([[model.config.eos_token_id]])
        for begin in range(0, ids.size(1) - context + 1, context):
            encoder = torch.cat([ids[:, begin : begin + half], end_token], 1)
            target = ids[:, begin + half : begin + context]
            start = time.perf_counter()
            logits = model(input_ids=encoder, labels=target).logits
            loss = torch.nn.functional.cross_entropy(logits[0].float(), target[0], reduction="sum")
            busy += time.perf_counter() - start
            total += loss.item()
            scored += target.size(1)
            fed += encoder.size(1) + target.size(1)
            windows += 1
            if windows == limit:
                break
    else:
        ids = tokenizer(text, return_tensors="pt").input_ids
        for begin in range(0, ids.size(1), stride):
            end = min(begin + context, ids.size(1))
            window, target = ids[:, begin:end], ids[:, begin:end].clone()
            target[:, : -(end - previous)] = -100
            start = time.perf_counter()
            logits = model(window).logits
            losses = torch.nn.functional.cross_entropy(logits[0, :-1].float(), target[0, 1:], ignore_index=-100, reduction="sum")
            busy += time.perf_counter() - start
            total += losses.item()
            scored += int((target[0, 1:] != -100).sum())
            fed += end - begin
            previous, windows = end, windows + 1
            if end == ids.size(1) or windows == limit:
                break
print(json.dumps({"value": math.exp(total / scored), "scoredTokens": scored, "windows": windows, "seconds": busy, "tokensPerSecond": fed / busy, "torch": torch.__version__}))
