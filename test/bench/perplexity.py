"""Peer of `winnow eval`: the Hugging Face perplexity loop on the same model folder, text and windows, F32. Prints JSON."""
import json, math, os, sys, time
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, text_path, context, stride, limit, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
torch.set_num_threads(threads)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
ids = tokenizer(open(text_path, encoding="utf-8", newline="").read(), return_tensors="pt").input_ids
total, scored, previous, windows, busy = 0.0, 0, 0, 0, 0.0
with torch.inference_mode():
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
        previous, windows = end, windows + 1
        if end == ids.size(1) or windows == limit:
            break
print(json.dumps({"value": math.exp(total / scored), "scoredTokens": scored, "windows": windows, "seconds": busy, "tokensPerSecond": windows * context / busy, "torch": torch.__version__}))
