"""Golden values for server/core/evaluation, from the upstream behaviour and libraries.

    python test/golden/evaluation/make_golden.py            # needs torch, transformers, tokenizers; ../shared; dist/sample.txt

Writes protocols.json (windowing and averages), perplexity.json (transformers in F32) and tokenizers.json (the Rust library) beside
itself, and odd_text.txt and {llama3,qwen,smollm,sentencepiece}_style.json: small seeded tokenizers and a text to try them on.

The three protocol functions follow what the upstream programs do, step by step, not our description of it:
the perplexity guide of the transformers documentation; `gptq` / `sparsegpt` / `wanda` evaluation; `perplexity()` of llama.cpp.
Each takes `losses(ids)`: nats of ids[1:], each given the ids before it in the window.
"""
import hashlib, json, math, random, sys
from pathlib import Path
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
SHARED = ROOT.parent / "shared"


def hf_guide(ids, context, stride, losses, limit=None):
    """The guide's loop. labels = -100 except the last trg_len; the model shifts, so the first label of a window never counts."""
    n, prev_end, total, weight, published, published_weight, windows = len(ids), 0, 0.0, 0, 0.0, 0, 0
    scored = []
    for begin in range(0, n, stride):
        end = min(begin + context, n)
        trg_len = end - prev_end
        window = ids[begin:end]
        valid = [i for i in range(1, len(window)) if i >= len(window) - trg_len]  # labels that survive the shift
        if valid:
            each = losses(window)
            got = [each[i - 1] for i in valid]
            scored += [[begin + i, round(each[i - 1], 6)] for i in valid]
            total += math.fsum(got); weight += len(got); windows += 1
            num_loss_tokens = trg_len - 1  # (labels != -100).sum() - batch size, as the guide has it
            published += math.fsum(got) / len(got) * num_loss_tokens; published_weight += num_loss_tokens
        prev_end = end
        if end == n or (limit and windows == limit):
            break
    return {"tokens": n, "windows": windows, "scored": scored, "scoredTokens": weight, "meanLoss": total / weight,
            "asPublished": math.exp(published / published_weight) if published / published_weight < 700 else None}


def gptq_papers(ids, seqlen, losses, limit=None):
    nsamples = len(ids) // seqlen
    if limit: nsamples = min(nsamples, limit)
    nlls, scored = [], []
    for i in range(nsamples):
        window = ids[i * seqlen:(i + 1) * seqlen]
        each = losses(window)                             # seqlen - 1 targets, mean by CrossEntropyLoss
        scored += [[i * seqlen + j + 1, round(v, 6)] for j, v in enumerate(each)]
        nlls.append(math.fsum(each) / len(each) * seqlen)
    return {"tokens": len(ids), "windows": nsamples, "scored": scored, "scoredTokens": nsamples * (seqlen - 1),
            "meanLoss": math.fsum(nlls) / (nsamples * seqlen), "asPublished": None}


def llama_cpp(ids, n_ctx, bos, losses, limit=None):
    """bos: id or None. ids begin with it already when there is one."""
    ids = list(ids)
    if len(ids) < 2 * n_ctx:
        return {"error": "too-few-tokens"}
    n_chunk = len(ids) // n_ctx
    if limit: n_chunk = min(n_chunk, limit)
    first, nll, nll2, count, scored = n_ctx // 2, 0.0, 0.0, 0, []
    for i in range(n_chunk):
        start = i * n_ctx
        window = ids[start:start + n_ctx]
        if bos is not None: window[0] = bos
        each = losses(window)
        for j in range(n_ctx - 1 - first):                # logits first + j predict token first + j + 1
            v = each[first + j]
            nll += v; nll2 += v * v; count += 1
            scored.append([start + first + j + 1, round(v, 6)])
    mean = nll / count
    variance = nll2 / count - mean * mean
    error = math.sqrt(variance / (count - 1)) * math.exp(mean) if variance > 0 and mean < 700 else None
    return {"tokens": len(ids), "windows": n_chunk, "scored": scored, "scoredTokens": count, "meanLoss": mean, "asPublished": None, "standardErrorIid": error}


def fake_losses(window):
    """Depends on the target, its place in the window and the first id, so that a window laid wrongly shows."""
    return [((int(window[i]) * 7919 + i * 104729 + int(window[0]) * 31) % 1000) / 100 for i in range(1, len(window))]


def protocol_cases():
    cases = []
    for n, context, stride, prefix, suffix in [(167, 32, 16, [], []), (167, 32, 32, [], []), (167, 32, 31, [], []), (167, 32, 7, [], []), (160, 32, 32, [], []), (161, 32, 32, [], []),
                                               (20, 32, 16, [], []), (2, 32, 16, [], []), (100, 10, 3, [99], []), (100, 10, 10, [99], [98]), (1, 8, 4, [99], [])]:
        rng = random.Random(n * 1000 + context * 10 + stride)
        text = "".join(chr(97 + rng.randrange(26)) for _ in range(n))
        ids = prefix + [ord(c) - 97 for c in text] + suffix
        cases.append({"protocol": "hf-stride", "text": text, "context": context, "stride": stride, "prefix": prefix, "suffix": suffix, **hf_guide(ids, context, stride, fake_losses)})
        if stride == context:
            if len(ids) >= context:
                cases.append({"protocol": "gptq", "text": text, "context": context, "stride": stride, "prefix": prefix, "suffix": suffix, **gptq_papers(ids, context, fake_losses)})
            cases.append({"protocol": "llama-cpp", "text": text, "context": context, "stride": stride, "prefix": prefix, "suffix": suffix,
                          **llama_cpp(prefix + ids[len(prefix):len(ids) - len(suffix)], context, prefix[0] if prefix else None, fake_losses)})
    return cases


def model_losses(model):
    import torch
    def losses(window):
        with torch.no_grad():
            logits = model(torch.tensor([list(map(int, window))])).logits[0, :-1].float()
        return torch.nn.functional.cross_entropy(logits, torch.tensor(list(map(int, window[1:]))), reduction="none").double().tolist()
    return losses


def perplexities():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(2)
    text = (ROOT / "dist/sample.txt").read_text(encoding="utf-8")
    out = []
    for name in ["tiny-gpt2", "stories260k-llama"]:
        folder = SHARED / "models" / name
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        losses = model_losses(model)
        ids = tokenizer(text).input_ids
        begin = tokenizer("", add_special_tokens=True).input_ids[:1]
        for protocol, context, stride, limit in [("hf-stride", 256, 128, 6), ("hf-stride", 100, 37, 8), ("gptq", 256, 256, 4), ("llama-cpp", 256, 256, 4)]:
            result = (hf_guide(ids, context, stride, losses, limit) if protocol == "hf-stride" else gptq_papers(ids, context, losses, limit) if protocol == "gptq"
                      else llama_cpp(ids, context, begin[0] if begin else None, losses, limit))
            scored = result.pop("scored")
            out.append({"model": name, "protocol": protocol, "context": context, "stride": stride, "limit": limit, **result, "value": math.exp(result["meanLoss"]),
                        "firstLosses": [v for _, v in scored[:5]]})
    return out


def odd_text():
    rng = random.Random(7)
    words = ["the", "whale", "Ahab's", "don't", "We'LL", "naïve", "Straße", "你好", "日本語", "привет", "ΣΟΦΟΣ", "a", "I", "1851", "3.14", "12345", "½", "foo_bar", "x=y", "—", "...", "!?", "e\u0301a", "\U0001f40b", "𝒜b", "<unk>", "@-@", "\u00a0"]
    gaps = [" "] * 12 + ["  ", "\n", " \n ", "\n\n", "\t", "\r\n", "   ", "\u3000"]
    return "".join(rng.choice(words) + rng.choice(gaps) for _ in range(9000)) + "the end"


def small_tokenizers(text):
    from tokenizers import Tokenizer, Regex, decoders, models, normalizers, pre_tokenizers, trainers
    split = {"llama3_style": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
             "qwen_style": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"}
    made = {}
    for name, expression in split.items():
        t = Tokenizer(models.BPE(ignore_merges=name == "llama3_style"))
        if name == "qwen_style": t.normalizer = normalizers.NFC()
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        t.decoder = decoders.ByteLevel()
        t.train_from_iterator([text[:60000]], trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"], show_progress=False))
        made[name] = t
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([text[:60000]], trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"], show_progress=False))
    made["smollm_style"] = t
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.train_from_iterator([w for w in text[:60000].split(" ")], trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"] + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=80, show_progress=False))
    data = json.loads(t.to_str())
    data["added_tokens"] = [a for a in data["added_tokens"] if not a["content"].startswith("<0x")]
    made["sentencepiece_style"] = Tokenizer.from_str(json.dumps(data))
    return made


def ids_entry(ids):
    a = np.array(ids, dtype="<u4")
    return {"count": len(ids), "first": a[:8].tolist(), "sha256": hashlib.sha256(a.tobytes()).hexdigest()}


def joined(text):
    rows = [line + "\n" if line.strip() else "" for line in text.split("\n")[:-1]]
    return "\n\n".join(rows)


def tokenizer_goldens():
    from tokenizers import Tokenizer
    text = odd_text()
    (HERE / "odd_text.txt").write_bytes(text.encode())
    out = {"small": [], "shared": [], "sample": []}
    for name, tokenizer in small_tokenizers(text).items():
        (HERE / f"{name}.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        out["small"].append({"name": name, **ids_entry(Tokenizer.from_file(str(HERE / f"{name}.json")).encode(text, add_special_tokens=False).ids)})
    from transformers import AutoTokenizer
    sample = (ROOT / "dist/sample.txt").read_text(encoding="utf-8")
    out["sample"].append({"folder": "media/tiny-gpt2", **ids_entry(AutoTokenizer.from_pretrained(SHARED / "models/tiny-gpt2")(sample).input_ids)})
    raw_test, tokenised = "data/wikitext-2/wiki.test.raw", "data/wikitext-2/wiki.test.tokens"
    for folder, files in [("tokenizers/gpt2", [(raw_test, False), (raw_test, True), (tokenised, True)]), ("models/tiny-gpt2", []), ("models/stories260k-llama", [(tokenised, True)])]:
        tokenizer = AutoTokenizer.from_pretrained(SHARED / folder)
        for file, join in files:
            raw = (SHARED / file).read_bytes().decode()
            out["shared"].append({"folder": folder, "file": file, "joined": join, **ids_entry(tokenizer(joined(raw) if join else raw, add_special_tokens=False).input_ids)})
        out["shared"].append({"folder": folder, "file": "odd_text.txt", "joined": False, **ids_entry(tokenizer(text, add_special_tokens=False).input_ids)})
    # AutoTokenizer of transformers 5 rebuilds T5's pre-tokeniser; here the file as the Rust library reads it.
    t5 = Tokenizer.from_file(str(SHARED / "tokenizers/t5/tokenizer.json"))
    out["shared"].append({"folder": "tokenizers/t5", "file": "odd_text.txt", "joined": False, **ids_entry(t5.encode(text, add_special_tokens=False).ids)})
    return out


def main():
    def write(name, value):
        (HERE / name).write_text(json.dumps(value, indent=1) + "\n")
    write("protocols.json", protocol_cases())
    write("tokenizers.json", tokenizer_goldens())
    write("perplexity.json", perplexities())


if __name__ == "__main__":
    sys.exit(main())
