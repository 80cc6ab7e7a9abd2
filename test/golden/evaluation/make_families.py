"""Makes family_protocols.json and family_perplexity.json: what the protocols of encoder-decoders and masked LMs feed a model and score.

    python test/golden/evaluation/make_families.py

The references: the span corruption of transformers' run_t5_mlm_flax.py (its data collator's noise mask, sentinel and filter
steps), DataCollatorForLanguageModeling itself, T5's own shift of labels. Their random draws come from the seeded generator
of server/core/random.ts, so that the same draws must lead to the same windows. Perplexities need ../shared and dist/sample.txt.
"""
import json
import math
import random
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SHARED = ROOT.parent / "shared"


def mulberry32(seed):
    state, mask = seed & 0xFFFFFFFF, 0xFFFFFFFF
    while True:
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ (state >> 15)) * (state | 1)) & mask
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & mask)) & mask
        yield ((t ^ (t >> 14)) & mask) / 4294967296


class T5Spans:
    """The steps of the flax collator for one row, its shuffle drawn from `draws`."""

    def __init__(self, draws, sentinels, end, noise_density=0.15, mean_noise_span_length=3.0):
        self.draws, self.sentinels, self.end, self.noise_density, self.mean_noise_span_length = draws, sentinels, end, noise_density, mean_noise_span_length

    def shuffle(self, a):
        for i in range(len(a) - 1, 0, -1):
            j = int(next(self.draws) * (i + 1))
            a[i], a[j] = a[j], a[i]

    def segmentation(self, num_items, num_segments):
        mask_indices = np.arange(num_items - 1) < (num_segments - 1)
        self.shuffle(mask_indices)
        _, segment_length = np.unique(np.cumsum(np.pad(mask_indices, [[1, 0]])), return_counts=True)
        return segment_length

    def noise_mask(self, length):
        num_noise = min(max(int(np.round(length * self.noise_density)), 1), length - 1)
        num_nonnoise = length - num_noise
        num_spans = max(int(np.round(min(num_noise, num_nonnoise) / self.mean_noise_span_length)), 1)
        noise = self.segmentation(num_noise, num_spans)
        nonnoise = self.segmentation(num_nonnoise, num_spans)
        starts = np.cumsum(np.reshape(np.stack([nonnoise, noise], axis=1), [num_spans * 2]))[:-1]
        indicator = np.zeros((length,), dtype=np.int8)
        indicator[starts] = True
        return np.equal(np.cumsum(indicator) % 2, 1)

    def sentinel_ids(self, mask):
        """-1 inside a span, the span's sentinel at its start, 0 elsewhere."""
        mask = mask.astype(np.int8)
        starts = mask - np.roll(mask, 1) * mask
        starts[0] = mask[0]
        numbers = np.where(starts != 0, np.cumsum(starts), starts)
        ids = np.where(numbers != 0, [self.sentinels[n - 1] if n else 0 for n in numbers], 0)
        return ids - (mask - starts)

    def filtered(self, ids, sentinel_ids):
        full = np.where(sentinel_ids != 0, sentinel_ids, ids)
        # Ids are at least 1 here (0 is the pad of T5); what is below is dropped.
        return [int(x) for x in full[full >= 0]] + [self.end]

    def __call__(self, ids):
        mask = self.noise_mask(len(ids))
        return self.filtered(ids, self.sentinel_ids(mask)), self.filtered(ids, self.sentinel_ids(~mask))


def chunks(ids, context):
    return [ids[i * context:(i + 1) * context] for i in range(len(ids) // context)]


def span_denoising(ids, context, sentinels, start, end):
    spans, windows = T5Spans(mulberry32(0), sentinels, end), []
    for chunk in chunks(ids, context):
        source, labels = spans(np.array(chunk))
        windows.append({"encoder": source, "decoder": [start] + labels[:-1], "labels": labels})
    return windows


def prefix_lm(ids, context, start, end):
    windows = []
    for chunk in chunks(ids, context):
        source, labels = chunk[:context // 2] + [end], chunk[context // 2:]
        windows.append({"encoder": source, "decoder": [start] + labels[:-1], "labels": labels})
    return windows


def mlm_chunks(ids, context, prefix, suffix):
    room = context - len(prefix) - len(suffix)
    return [prefix + ids[i:i + room] + suffix for i in range(0, len(ids), room)]


def mlm_pll(ids, context, prefix, suffix, mask):
    runs = []
    for chunk in mlm_chunks(ids, context, prefix, suffix):
        for i in range(len(prefix), len(chunk) - len(suffix)):
            runs.append({"ids": chunk[:i] + [mask] + chunk[i + 1:], "at": [i], "labels": [chunk[i]]})
    return runs


class FewTokens:
    """As much of a tokenizer as the collator asks for."""
    mask_token = "[MASK]"

    def __init__(self, special, mask, size):
        self.special, self.mask, self.size = special, mask, size

    def get_special_tokens_mask(self, ids, already_has_special_tokens=True):
        return [int(i in self.special) for i in ids]

    def convert_tokens_to_ids(self, token):
        return self.mask

    def __len__(self):
        return self.size


def mlm_15(ids, context, prefix, suffix, mask, special, size):
    from transformers import DataCollatorForLanguageModeling
    draws, runs = mulberry32(0), []
    collator = DataCollatorForLanguageModeling.__new__(DataCollatorForLanguageModeling)
    collator.tokenizer, collator.mlm_probability, collator.mask_replace_prob, collator.random_replace_prob = FewTokens(special, mask, size), 0.15, 0.8, 0.1
    collator.whole_word_mask, collator.generator = False, None
    plain = torch.bernoulli, torch.randint
    torch.bernoulli = lambda p, generator=None: torch.tensor([[float(next(draws) < round(float(x), 6)) for x in row] for row in p])
    torch.randint = lambda high, shape, dtype=None, generator=None: torch.tensor([[int(next(draws) * high) for _ in range(shape[1])] for _ in range(shape[0])])
    try:
        for chunk in mlm_chunks(ids, context, prefix, suffix):
            inputs, labels = collator.torch_mask_tokens(torch.tensor([chunk]))
            at = (labels[0] != -100).nonzero().flatten().tolist()
            if at:
                runs.append({"ids": inputs[0].tolist(), "at": at, "labels": labels[0][at].tolist()})
    finally:
        torch.bernoulli, torch.randint = plain
    return runs


def protocol_cases():
    cases = []
    for n, context in [(200, 40), (100, 30), (64, 64), (90, 10), (50, 5), (30, 2), (41, 20)]:
        rng = random.Random(n * 1000 + context)
        text = "".join(chr(97 + rng.randrange(1, 26)) for _ in range(n))
        ids = [ord(c) - 97 for c in text]
        common = {"text": text, "context": context}
        cases.append({"protocol": "prefix-lm", **common, "windows": prefix_lm(ids, context, 50, 51)})
        cases.append({"protocol": "span-denoising", **common, "windows": span_denoising(ids, context, list(range(60, 80)), 50, 51)})
        if context > 2:
            cases.append({"protocol": "mlm-pll", **common, "windows": mlm_pll(ids, context, [52], [53], 54)})
            cases.append({"protocol": "mlm-15", **common, "windows": mlm_15(ids, context, [52], [53], 54, {3, 52, 53, 54}, 100)})
    return cases


def convert(folder):
    """A folder of today's kind: the weights as safetensors, everything else as it is."""
    from safetensors.torch import save_file
    target = Path(tempfile.mkdtemp())
    for file in folder.iterdir():
        if file.suffix in (".json", ".txt"):
            (target / file.name).write_bytes(file.read_bytes())
    state = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    save_file({k: v.contiguous().clone() for k, v in state.items()}, target / "model.safetensors", metadata={"format": "pt"})
    return target


def perplexities():
    from transformers import AutoModelForSeq2SeqLM
    from tokenizers import Tokenizer
    torch.set_num_threads(1)
    text = (ROOT / "dist/sample.txt").read_text(encoding="utf-8")
    out = []
    folder = SHARED / "models/tiny-t5"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    sentinels = [tokenizer.token_to_id(f"<extra_id_{i}>") for i in range(95)]
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for protocol, context, limit in [("prefix-lm", 128, 4), ("prefix-lm", 51, 4), ("span-denoising", 128, 4)]:
        windows = (prefix_lm(ids, context, 0, 1) if protocol == "prefix-lm" else span_denoising(ids[:context * limit], context, sentinels, 0, 1))[:limit]
        losses = []
        for window in windows:
            with torch.no_grad():
                labels = torch.tensor([window["labels"]])
                logits = model(input_ids=torch.tensor([window["encoder"]]), labels=labels).logits[0]
                losses += torch.nn.functional.cross_entropy(logits, labels[0], reduction="none").double().tolist()
        mean = math.fsum(losses) / len(losses)
        out.append({"model": "tiny-t5", "protocol": protocol, "context": context, "limit": limit, "tokens": len(ids), "scoredTokens": len(losses), "meanLoss": mean, "value": math.exp(mean), "firstLosses": losses[:5]})
    out += masked_perplexities(text)
    return out


def masked_perplexities(text):
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModelForMaskedLM
    folder = convert(SHARED / "models/tiny-deberta-v2")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    begin, end, mask = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[MASK]"))
    config = AutoConfig.from_pretrained(folder)
    config.legacy = False  # the head is stored as lm_predictions.*; the class with cls.* would start at random
    model = AutoModelForMaskedLM.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    out = []
    for protocol, context, limit in [("mlm-pll", 64, 1), ("mlm-15", 128, 6)]:
        part = ids[:(context - 2) * limit]
        runs = mlm_pll(part, context, [begin], [end], mask) if protocol == "mlm-pll" else mlm_15(part, context, [begin], [end], mask, special, tokenizer.get_vocab_size())
        losses = []
        for one in runs:
            with torch.no_grad():
                logits = model(torch.tensor([one["ids"]]), attention_mask=torch.ones(1, len(one["ids"]))).logits[0, one["at"]]
            losses += torch.nn.functional.cross_entropy(logits, torch.tensor(one["labels"]), reduction="none").double().tolist()
        mean = math.fsum(losses) / len(losses)
        out.append({"model": "tiny-deberta-v2", "protocol": protocol, "context": context, "limit": limit, "tokens": len(ids), "scoredTokens": len(losses), "meanLoss": mean, "value": math.exp(mean), "firstLosses": losses[:5]})
    # No tokenizer.json: the losses of ids alone.
    model = AutoModelForMaskedLM.from_pretrained(convert(SHARED / "models/albert-mlm-legacy-bin"), dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.tensor([[(i * i * 31 + i * 7 + 3) % 591 for i in range(100)]])
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(model(ids, attention_mask=torch.ones_like(ids)).logits[0], ids[0], reduction="none")
    (HERE / "family_albert.json").write_text(json.dumps(losses.tolist()) + "\n")
    return out


if __name__ == "__main__":
    (HERE / "family_protocols.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in protocol_cases()) + "\n]\n")
    (HERE / "family_perplexity.json").write_text(json.dumps(perplexities(), indent=1) + "\n")
