"""Writes pre.json: ids of odd texts by the Rust tokenizers library, one small byte-level BPE under the pre-tokeniser of each published
tokenizer.json that `tokenizer.ggml.pre` names. The merges are trained without any cut, so that another cut gives other ids.

    python test/golden/gguf/makePre.py SAMPLE_TEXT
"""
import json
import sys
from pathlib import Path
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

Split, ByteLevel = (lambda p: pre_tokenizers.Split(Regex(p), 'isolated')), pre_tokenizers.ByteLevel
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+@|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*@|#| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
plain, whole = ByteLevel(add_prefix_space=False, use_regex=True), ByteLevel(add_prefix_space=False, use_regex=False)
KINDS = {
    'gpt-2': [plain],
    'smollm': [pre_tokenizers.Digits(individual_digits=True), plain],
    'llama-bpe': [Split(WORDS + '{1,3}' + REST), whole],
    'qwen2': [Split(WORDS + REST), whole],
    'tekken': [Split(CASED.replace('@', '').replace('#', r'\p{N}')), whole],
    'gpt-4o': [Split(CASED.replace('@', r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?").replace('#', r'\p{N}{1,3}')), whole],
    'deepseek-coder': [Split(r'[\r\n]'), Split(r'\s?\p{L}+'), Split(r'\s?\p{P}+'), Split('[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'), pre_tokenizers.Digits(individual_digits=True), whole],
    'falcon': [pre_tokenizers.Punctuation('contiguous'), plain, pre_tokenizers.Digits(individual_digits=False), Split('[0-9][0-9][0-9]')],
    # llama.cpp's own rule, for files that name none; no tokenizer.json has it.
    'default': [Split(r'[\p{P}\$\+<=>\^~\|]+'), Split(GPT2), Split(r'\p{N}+'), Split('[0-9][0-9][0-9]'), whole],
}
TEXTS = [
    'Hello   World 123 1234567 \u00e9\u6a21\u578b\n\n x<t>\t\U0001f642 it\'s 1,234.5\r\n  end ', "They'LL DON'T we'Ve I'm o'clock 'tis HTTPServer iPhone mcDonald's ABCdef\u01c5xyz",
    '  \t \n\n\r\n   two\n three \n', '\u0661\u0662\u0663\u0664 \u00bd\u00b2\u2167 12\u00bd3 \u0e01\u0e33\u0e25\u0e31\u0e07 \u0928\u092e\u0938\u094d\u0924\u0947', 'a+b=$c<d>^e~f|g`h`` --- !!! ??.. https://x.y/z//\n//comment\n',
    '\uff21\uff22\uff23 \u6771\u4eac\u30bf\u30ef\u30fc \ud55c\uad6d\uc5b4 \u00a0nbsp\u3000wide\u200bzero', 'cafe\u0301 na\u00efve \u0130stanbul \u1e9e\u00df \u02b0\u02b2 \u2019s it\u2019s', '', ' ', 'x' * 40 + '9' * 11,
]


def main():
    sample = Path(sys.argv[1]).read_text(encoding='utf-8')[:40000]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = whole
    chunks = [sample[i:i + 24] for i in range(0, len(sample), 24)] + TEXTS * 40
    trained.train_from_iterator(chunks, trainers.BpeTrainer(vocab_size=900, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False))
    model = json.loads(trained.to_str())['model']
    out = {'tokens': [token for token, _ in sorted(model['vocab'].items(), key=lambda item: item[1])], 'merges': [' '.join(merge) for merge in model['merges']], 'texts': TEXTS, 'ids': {}}
    for name, steps in KINDS.items():
        t = Tokenizer(models.BPE(vocab=model['vocab'], merges=[tuple(merge) for merge in model['merges']], ignore_merges=name in ('llama-bpe', 'tekken')))
        if name == 'qwen2':
            t.normalizer = normalizers.NFC()
        t.pre_tokenizer = pre_tokenizers.Sequence(steps)
        out['ids'][name] = [t.encode(text).ids for text in TEXTS]
    distinct = {json.dumps(ids) for ids in out['ids'].values()}
    assert len(distinct) == len(KINDS), 'two kinds cannot be told apart'
    Path(__file__).with_name('pre.json').write_text(json.dumps(out, ensure_ascii=True, separators=(',', ':')) + '\n')


main()
