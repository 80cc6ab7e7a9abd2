"""Prunes nothing itself: loads the folder that `winnow prune MODEL.gguf --sparsity 0.5 --out FOLDER` wrote in transformers, and compares its
logits with those of the model that makeModels.py made, pruned by numpy.

    python test/golden/gguf/checkPruned.py SAMPLE_TEXT NAME FOLDER
"""
import sys
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
import makeModels

name, folder = sys.argv[2], sys.argv[3]
ours = (AutoModelForSeq2SeqLM if name == 't5' else AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32).eval()
theirs = makeModels.made(name)
makeModels.prune_half(theirs)
ids = torch.arange(3, 43)[None]
with torch.no_grad():
    run = (lambda m: m(input_ids=ids, labels=ids).logits) if name == 't5' else (lambda m: m(ids).logits)
    print(name, 'largest difference of logits', float((run(ours) - run(theirs)).abs().max()), 'text', AutoTokenizer.from_pretrained(folder)('Call me Ishmael.')['input_ids'][:8])
