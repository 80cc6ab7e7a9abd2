"""Writes tokens.json: ids that transformers gives with `gguf_file=`, for the vocabularies in ../shared/files/gguf-vocab over the raw
WikiText-2 test text without its first blank (transformers does not prepend one to a blank, llama.cpp and SentencePiece do).

    python test/golden/gguf/makeTokens.py SHARED_FOLDER
"""
import hashlib
import json
import sys
from pathlib import Path
import numpy as np
from transformers import AutoTokenizer

shared = Path(sys.argv[1])
text = open(shared / 'data/wikitext-2/wiki.test.raw', encoding='utf8', newline='').read().lstrip(' ')
odd = 'Hello   World 123 \u00e9\u6a21\n\n x<t>\t\U0001f642 it\'s 1,234.5\r\n  end '
out = {}
for name in ['ggml-vocab-llama-spm.gguf', 'ggml-vocab-gpt-2.gguf']:
    tokenizer = AutoTokenizer.from_pretrained(str(shared / 'files/gguf-vocab'), gguf_file=name)
    ids = tokenizer(text, add_special_tokens=False)['input_ids']
    out[name] = {'count': len(ids), 'sha256': hashlib.sha256(np.array(ids, dtype='<u4').tobytes()).hexdigest(), 'odd': tokenizer(odd, add_special_tokens=False)['input_ids']}
Path(__file__).with_name('tokens.json').write_text(json.dumps({'odd': odd, 'vocabularies': out}) + '\n')
