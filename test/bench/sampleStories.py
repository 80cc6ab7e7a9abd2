"""Text in a small model's own language: python sampleStories.py MODEL OUT TOKENS SEED

No text of small stories may be shipped, so the dense model writes it: ancestral sampling at temperature 1, window after window from the begin token.
Under it the dense model's loss is its own entropy, and what pruning adds is how far the pruned model is from the dense one (Kullback-Leibler).
"""
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, out, tokens, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(seed)
torch.set_num_threads(2)
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
length = min(256, model.config.max_position_embeddings)
texts, count = [], 0
while count < tokens:
    begin = torch.full((320, 1), model.config.bos_token_id)
    ids = model.generate(begin, attention_mask=torch.ones_like(begin), do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=length - 1, pad_token_id=model.config.eos_token_id)
    for row in ids:
        text = tokenizer.decode(row, skip_special_tokens=True).replace("\n", " ").replace("\ufffd", "").strip()
        texts.append(text)
        count += len(tokenizer(text).input_ids)
open(out, "w", encoding="utf-8").write("\n".join(texts) + "\n")
print(len(texts), "texts,", count, "tokens")
