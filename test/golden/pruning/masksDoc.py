"""Runs the code of docs/masks.md as it stands: trains a masked model with Adam and weight decay, and looks whether a pruned weight moved.

Usage: masksDoc.py DOC MODEL_FOLDER MASKS
"""
import re
import sys

import torch
from transformers import AutoModelForCausalLM

doc, folder, masks_path = sys.argv[1:4]
setup, use = re.findall(r"```python\n(.*?)```", open(doc, encoding="utf8").read(), re.S)
space = {}
exec(setup, space)

torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
masks = space["read_masks"](masks_path)
weights = dict(model.named_parameters())
for name, mask in masks.items():
    assert torch.equal(weights[name] != 0, mask), f"{name}: the mask is not that of the weights"
before = {name: weight.detach().clone() for name, weight in weights.items()}
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
space |= {"model": model, "optimizer": optimizer}
exec(use.replace("masks.safetensors", masks_path), space)
for _ in range(3):
    ids = torch.randint(0, model.config.vocab_size, (2, 32))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
moved = sum(int((before[name] != weights[name])[mask].sum()) for name, mask in masks.items())
kept_zero = all(bool((weights[name][~mask] == 0).all()) for name, mask in masks.items())
print(f"moved={moved} pruned={sum(int((~mask).sum()) for mask in masks.values())} frozen={kept_zero}")
assert kept_zero and moved > 1000
