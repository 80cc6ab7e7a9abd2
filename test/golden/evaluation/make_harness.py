"""Golden values for lm-eval-word, last-word and multiple-choice, from EleutherAI's lm-evaluation-harness itself.

    python test/golden/evaluation/make_harness.py      # needs lm_eval (0.4.13 wrote the values), torch, transformers; ../shared; dist/sample.txt

Writes beside itself: harness_pages.txt (the sample's words in WikiText's look, five pages), harness_passages.jsonl and
harness_questions.jsonl (cut from the sample, seeded), and harness.json: what `lm_eval.simple_evaluate` prints for its own tasks `wikitext`
and `lambada_openai` and for a multiple-choice task over these files, on models in F32.

The begin token: `add_bos_token=False` for the rolling task, which has one of its own before each page; the harness's default for the others.
"""
import hashlib, importlib.metadata, json, random, re, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
SHARED = ROOT.parent / "shared"


def paragraphs():
    text = (ROOT / "dist/sample.txt").read_text(encoding="utf-8")
    return [re.sub(r"\s+", " ", p).strip() for p in re.split(r"\n\s*\n", text) if len(p.split()) > 25]


def wikitext_look(text):
    """Blanks around punctuation, @-@ inside words, brackets and quotes apart, as the WikiText files have them."""
    text = re.sub(r"(\w)-(\w)", r"\1 @-@ \2", text)
    text = re.sub(r"(\d),(\d)", r"\1 @,@ \2", text)
    text = re.sub(r"([,;:.!?()\[\]\"])", r" \1 ", text)
    text = re.sub(r"(\w)('s\b)", r"\1 \2", text)
    text = re.sub(r"[“”]", ' " ', text)
    return " " + re.sub(r" +", " ", text).strip() + " "


def pages():
    rng, from_book = random.Random(11), paragraphs()
    odd = [" The brothers ' boat lay at 40 \u00b0 N of the line , and 1 @,@ 204 @.@ 5 fathoms ( or { so } [ it ] was ) said . ",
           " It was ' quite ' calm : \" a caf\u00e9 in \u4f60\u597d \" , he wrote /' 4/ times ; then N more ? Yes ! ", "   "]
    lines = [" "]
    for page in range(4):
        lines += [f" = Page {page} of the = sea = ", " "] if page == 2 else [f" = Page {page} = ", " "]
        for section in range(3):
            lines += ([f" = = Section {section} = = ", " "] if section % 2 else [f" = = = Part {section} = = = ", " "])
            lines += [wikitext_look(rng.choice(from_book)) for _ in range(2)] + [odd[(page + section) % len(odd)], " "]
    lines += [" = A title alone = ", " "]
    return "\n".join(lines)


def passages():
    rng, out = random.Random(12), []
    for p in rng.sample(paragraphs(), 60):
        words = p.split(" ")[: rng.randrange(12, 70)]
        out.append(" ".join(words).rstrip(".,;:!?\"'“”"))
    # What an encoder of pairs has to think of: one word alone, a blank at the end, two blanks before the last word, something long.
    return out + ["whale", "the sea was calm and the  ship", "naïve 你好 the whale", "x " * 90 + "sea"]


def questions():
    rng, out, book = random.Random(13), [], paragraphs()
    for i in range(40):
        p, cut = rng.choice(book).split(" "), rng.randrange(6, 16)
        gold, wrong = " ".join(p[cut:cut + rng.randrange(2, 7)]), [" ".join(rng.choice(book).split(" ")[3:3 + rng.randrange(1, 9)]) for _ in range(3)]
        at = rng.randrange(4)
        choices = wrong[:at] + [gold] + wrong[at:]
        out.append({"query": " ".join(p[:cut]) + (" " if i % 9 == 0 else ""), "choices": choices, "gold": at})
    return out + [{"query": "naïve", "choices": ["é", "你好 你好", "a much longer choice than the others"], "gold": 1}]


def digest(texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def split_pages(text):
    """How the harness's data set (wikitext_document_level) makes pages of a WikiText file."""
    out, ret = [], []
    for line in text.split("\n"):
        closed = line.replace("= = =", "===").replace("= =", "==").strip()
        if closed.startswith("= ") and closed.endswith(" ="):
            page = "\n".join(ret)
            if page.strip():
                out.append(page)
            ret = []
        ret.append(line)
    return out + ["\n".join(ret)]


def evaluate(folder, context, documents):
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks.wikitext.preprocess_wikitext import process_results, wikitext_detokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(2)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)

    def metrics(names):
        return [{"metric": name} for name in names]

    with tempfile.TemporaryDirectory() as place:
        def task(name, rows, **config):
            file = Path(place) / f"{name}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            return ConfigurableTask(config={"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}, "test_split": "test", **config})

        tasks = {
            "lm-eval-word": task("pages", [{"page": p} for p in documents["pages"]], output_type="loglikelihood_rolling", doc_to_text="", doc_to_target=wikitext_detokenizer,
                                 process_results=process_results, metric_list=metrics(["word_perplexity", "byte_perplexity", "bits_per_byte"])),
            "last-word": task("passages", [{"text": t} for t in documents["passages"]], output_type="loglikelihood", doc_to_text="{{text.split(' ')[:-1]|join(' ')}}",
                              doc_to_target="{{' '+text.split(' ')[-1]}}",
                              metric_list=[{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}, {"metric": "acc", "aggregation": "mean", "higher_is_better": True}]),
            "multiple-choice": task("questions", documents["questions"], output_type="multiple_choice", doc_to_text="query", doc_to_target="gold", doc_to_choice="choices",
                                    metric_list=[{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")]),
        }
        out = {}
        for name, one in tasks.items():
            lm = HFLM(pretrained=model, tokenizer=tokenizer, max_length=context, batch_size=1, device="cpu", **({"add_bos_token": False} if name == "lm-eval-word" else {}))
            results = simple_evaluate(model=lm, tasks=[one], bootstrap_iters=0 if name != "multiple-choice" else 100, log_samples=True)
            (key, found), = results["results"].items()
            out[name] = {k.removesuffix(",none"): v for k, v in found.items() if isinstance(v, (int, float))}
            # Nats of each request, in order.
            samples = sorted(results["samples"][key], key=lambda s: s["doc_id"])
            out[name]["nats"] = [round(-float(r[0] if isinstance(r, (list, tuple)) else r), 5) for s in samples for r in (x[0] if isinstance(x, list) and len(x) == 1 else x for x in s["resps"])]
        return out


def main():
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer
    text, from_text = pages(), passages()
    (HERE / "harness_pages.txt").write_bytes(text.encode())
    for name, rows in [("passages", [{"text": t} for t in from_text]), ("questions", questions())]:
        (HERE / f"harness_{name}.jsonl").write_bytes("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    documents = {"pages": split_pages(text), "passages": from_text, "questions": questions()}
    versions = {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")}
    out = {"versions": versions, "pages": [], "models": []}
    for file in ["harness_pages.txt", "data/wikitext-2/wiki.test.raw", "data/wikitext-2/wiki.test.tokens"]:
        whole = ((HERE if file.startswith("harness") else SHARED) / file).read_bytes().decode()
        cut = split_pages(whole)
        out["pages"].append({"file": file, "count": len(cut), "words": sum(len(re.split(r"\s+", p)) for p in cut), "bytes": sum(len(p.encode()) for p in cut),
                             "pages": digest(cut), "detokenised": digest([wikitext_detokenizer({"page": p}) for p in cut])})
    for name in ["tiny-gpt2", "stories260k-llama"]:
        out["models"].append({"model": name, "context": 64, **evaluate(SHARED / "models" / name, 64, documents)})
    (HERE / "harness.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
