"""Two small SentencePiece models, a vocabulary for WordPiece, and what sentencepiece and transformers make of odd texts.

    python make_sentencepiece.py SHARED

SHARED is the folder with `tokenizers/sentencepiece` and `data/wikitext-2`. Writes `unigram.model`, `bpe-bytes.model` and
`sentencepiece.json` beside this file.
"""
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile

import sentencepiece
import transformers
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
here, shared = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
random.seed(5)

texts = ["", " ", "  ", "Hello world", " Hello  world ", "Hello\nworld\n\n", " \n = Robert Boulter = \n ", "tab\tand\r\nnewline",
         "naïve café e\u0301 Å Ångström ﬁne ½ ² ™ … １２３ ＡＢＣ ～", "全角　スペース 中文字符 \U00020000\U00020001 한국어 ガ カ\u3099", "emoji 😀👍🏽 👩‍👩‍👧",
         "control \x01\x02\x7f \u200b\u200d \ufeff x", "▁literal ▁ block▁", "٠١٢ Ⅷ", "".join(random.choice("etaoinshrdlu") for _ in range(300)), "supercalifragilisticexpialidocious " * 3,
         "don't ''quote'' ``x`` 1,000 9,", "ΑΣ ΣΑΣ İstanbul STRASSE ß", "\u00a0nbsp\u2003em\u2028ls", "中" * 20, "x\u0300\u0301\u0302y", "\u1e9b\u0323 \ufdfa",
         "- -- --- \u2013 \u2014", "\ud7ff\ue000\uffff", "q\u0307\u0323", "the <mark> of <mark><mark>s", "b" * 99 + " " + "b" * 101]
letters = list("abcdefghij ,.▁  \n\t") + list("éüßñ中文😀½ﬁ\u0301\u3000ＡＢ１２")
texts += ["".join(random.choice(letters) for _ in range(random.randint(1, 60))) for _ in range(80)]

with open(os.path.join(here, "odd_text.txt"), encoding="utf8") as file:
    corpus = [line for line in file.read().split("\n") if line.strip()]
corpus += [text for text in texts if text.strip()] + ["It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness."] * 3


def train(name, **options):
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "corpus.txt")
        with open(plain, "w", encoding="utf8") as file:
            file.write("\n".join(corpus))
        rules = os.path.join(folder, "rules.tsv")
        with open(rules, "w", encoding="utf8") as file:
            # Source and target as hexadecimal code points: a ligature, a fraction, a pair with a mark, wide letters and blanks, a control character, and two entries of which one begins the other.
            file.write("FB01\t66 69\nBD\t31 2044 32\n65 301\tE9\nFF21\t41\nFF22\t42\n3000\t20\nA\t20\n9\t20\n1\t\nFF11\t31\nFF11 FF12\t31 32\n")
        if options.pop("rules", False):
            options["normalization_rule_tsv"] = rules
        sentencepiece.SentencePieceTrainer.train(input=plain, model_prefix=os.path.join(folder, "m"), num_threads=1, minloglevel=2, **options)
        shutil.copy(os.path.join(folder, "m.model"), os.path.join(here, name))


train("unigram.model", model_type="unigram", vocab_size=170, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, rules=True, user_defined_symbols=["<mark>"], character_coverage=0.98, hard_vocab_limit=False)
train("bpe-bytes.model", model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98, split_digits=True)


def ids_of(path):
    return [sentencepiece.SentencePieceProcessor(model_file=path).encode(text) for text in texts]


words = list(dict.fromkeys("[PAD] [UNK] [CLS] [SEP] [MASK] the of and in was e a o u n c i t s d r ##e ##a ##o ##i ##n ##s ##t ##r ##ing ##ed ##1 ##2 1 2 3 9 , . - = ' ` \" ▁ 中 文 \U00020000 caf cafe naive ss σ ς ##σ ##ς α ##α ı i̇ u ü É é b f g h ##h ##b ##y ##c ½ ~ $ + < ^ | hello world Hello World ##ß ß".split()))

with open(os.path.join(shared, "data", "wikitext-2", "wiki.test.raw"), encoding="utf8") as file:
    wiki = file.read().split("\n")[:400]
fixtures = os.path.join(shared, "tokenizers", "sentencepiece")


def folder_ids(files, some):
    """Ids of `some` texts by AutoTokenizer over a folder of these files: a name and either text or a file to copy."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            if isinstance(content, dict):
                with open(os.path.join(folder, name), "w", encoding="utf8") as file:
                    json.dump(content, file)
            elif name.endswith(".txt"):
                with open(os.path.join(folder, name), "w", encoding="utf8") as file:
                    file.write(content)
            else:
                shutil.copy(content, os.path.join(folder, name))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [tokenizer(text).input_ids for text in some]


def digest(all_ids):
    return hashlib.sha256(json.dumps(all_ids, separators=(",", ":")).encode()).hexdigest()


bert = lambda **options: {"vocab.txt": "\n".join(words) + "\n", "config.json": {"model_type": "bert"}, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", **options}}
result = {
    "texts": texts,
    "own": {name: ids_of(os.path.join(here, name)) for name in ["unigram.model", "bpe-bytes.model"]},
    "shared": {name: ids_of(os.path.join(fixtures, name)) for name in ["spiece.model", "test_sentencepiece.model", "test_sentencepiece_bpe.model"]},
    "vocabulary": words,
    "bert": [{"config": options, "ids": folder_ids(bert(**options), texts)} for options in [{}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False}, {"tokenize_chinese_chars": False}]],
    # The first lines of WikiText-2 raw by AutoTokenizer over a folder with only the model file and a configuration.
    "wiki": {"lines": len(wiki), "sha256": {
        "t5": digest(folder_ids({"spiece.model": os.path.join(here, "unigram.model"), "config.json": {"model_type": "t5"}}, wiki)),
        "xlm-roberta": digest(folder_ids({"sentencepiece.bpe.model": os.path.join(fixtures, "test_sentencepiece.model"), "config.json": {"model_type": "xlm-roberta"}}, wiki)),
        "llama": digest(folder_ids({"tokenizer.model": os.path.join(here, "bpe-bytes.model"), "config.json": {"model_type": "llama"}, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}}, wiki)),
    }},
}
with open(os.path.join(here, "sentencepiece.json"), "w", encoding="utf8") as file:
    json.dump(result, file, ensure_ascii=False, separators=(",", ":"))
