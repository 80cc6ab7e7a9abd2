"""Writes models/*.gguf and models.json: a small random model (seeded) of each architecture whose GGUF is evaluated, as llama.cpp's converter
would store it, with a tokenizer trained here; and what transformers and the Rust tokenizers make of the model it was converted from.

    python test/golden/gguf/makeModels.py SAMPLE_TEXT

SAMPLE_TEXT is dist/sample.txt. Tensor names come from the `gguf` package's own map, the pairing of query and key rows and the
turned Conv1D from what the converter does. `pruned` is global magnitude pruning of the transformers model at 0.5, by numpy.
"""
import io
import json
import math
import sys
from pathlib import Path
import gguf
import numpy as np
import sentencepiece
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, T5Config, T5ForConditionalGeneration

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'evaluation'))
from make_families import prefix_lm, span_denoising  # noqa: E402

torch.set_num_threads(1)
TEXT = Path(sys.argv[1]).read_text(encoding='utf-8')
ODD = 'Hello   World 123 \u00e9\u6a21\n\n x<t>\t\U0001f642 it\'s 1,234.5\r\n  end  \uff21\ufb01 '
VOCAB, CONTEXT, LIMIT = 384, 64, 6
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
NORMAL, UNKNOWN, CONTROL, UNUSED, BYTE = 1, 2, 3, 5, 6


def byte_level(kind):
    """A byte-level BPE as GPT-2's or Qwen's, and its metadata."""
    t = tokenizers.Tokenizer(models.BPE())
    if kind == 'qwen2':
        t.normalizer = normalizers.NFC()
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(QWEN), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT.split('\n'), trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=['<|endoftext|>'], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    model = json.loads(t.to_str())['model']
    tokens = [token for token, _ in sorted(model['vocab'].items(), key=lambda item: item[1])]

    def write(w):
        w.add_tokenizer_model('gpt2')
        w.add_tokenizer_pre('gpt-2' if kind == 'gpt2' else kind)
        w.add_token_list(tokens)
        w.add_token_types([CONTROL if token == '<|endoftext|>' else NORMAL for token in tokens])
        w.add_token_merges([' '.join(merge) for merge in model['merges']])
        w.add_eos_token_id(0)
        if kind == 'gpt2':
            w.add_bos_token_id(0)
    return (lambda text: t.encode(text, add_special_tokens=False).ids), [], write


def sentence_piece(kind):
    """A SentencePiece model as Llama's (BPE with bytes) or T5's (Unigram, identity table), and its metadata."""
    made = io.BytesIO()
    unigram = kind == 'unigram'
    rows = [text for text in TEXT.split('\n') if text]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(rows), model_writer=made, vocab_size=VOCAB - 100 if unigram else VOCAB + 128, model_type=kind, character_coverage=1.0, hard_vocab_limit=False,
        normalization_rule_name='identity', remove_extra_whitespaces=unigram, byte_fallback=not unigram, split_digits=not unigram, minloglevel=2, num_threads=1,
        **({'pad_id': 0, 'eos_id': 1, 'unk_id': 2, 'bos_id': -1} if unigram else {}))
    sp = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    n = sp.get_piece_size()
    tokens, scores = [sp.id_to_piece(i) for i in range(n)], [sp.get_score(i) for i in range(n)]
    types = [UNKNOWN if sp.is_unknown(i) else CONTROL if sp.is_control(i) else BYTE if sp.is_byte(i) else NORMAL for i in range(n)]
    if unigram:
        # As the converter does with T5's sentinels, which its SentencePiece model does not hold.
        tokens += [f'[PAD{i}]' for i in range(1, 101)]
        scores += [-1000.0] * 100
        types += [UNUSED] * 100

    def write(w):
        w.add_tokenizer_model('t5' if unigram else 'llama')
        w.add_tokenizer_pre('default')
        w.add_token_list(tokens)
        w.add_token_scores(scores)
        w.add_token_types(types)
        w.add_add_space_prefix(True)
        if unigram:
            w.add_remove_extra_whitespaces(True)
            w.add_pad_token_id(0)
            w.add_eos_token_id(1)
            w.add_unk_token_id(2)
            w.add_add_bos_token(False)
            w.add_add_eos_token(True)
        else:
            w.add_bos_token_id(sp.bos_id())
            w.add_eos_token_id(sp.eos_id())
            w.add_unk_token_id(sp.unk_id())
    # The trailing blank of ODD aside, T5's published tokenizer.json and SentencePiece agree; Llama's keeps all blanks.
    return (lambda text: sp.encode(text)), [] if unigram else [sp.bos_id()], write, len(tokens)


def llama_like(w, c, head_dim):
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_rope_freq_base(c.rope_parameters['rope_theta'])
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if head_dim == 'rope':
        w.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    elif head_dim:
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)


def gpt2_keys(w, c):
    w.add_block_count(c.n_layer)
    w.add_context_length(c.n_positions)
    w.add_embedding_length(c.n_embd)
    w.add_feed_forward_length(4 * c.n_embd)
    w.add_head_count(c.n_head)
    w.add_layer_norm_eps(c.layer_norm_epsilon)


def t5_keys(w, c):
    w.add_context_length(512)
    w.add_embedding_length(c.d_model)
    w.add_feed_forward_length(c.d_ff)
    w.add_block_count(c.num_layers)
    w.add_decoder_block_count(c.num_decoder_layers)
    w.add_head_count(c.num_heads)
    w.add_key_length(c.d_kv)
    w.add_value_length(c.d_kv)
    w.add_layer_norm_eps(c.layer_norm_epsilon)
    w.add_relative_attn_buckets_count(c.relative_attention_num_buckets)
    w.add_layer_norm_rms_eps(c.layer_norm_epsilon)
    w.add_decoder_start_token_id(0)


def paired(x, heads):
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def to_gguf(name, arch, model, keys, write_tokenizer, blocks):
    w = gguf.GGUFWriter(str(HERE / 'models' / f'{name}.gguf'), gguf.MODEL_ARCH_NAMES[arch])
    keys(w)
    write_tokenizer(w)
    names = gguf.get_tensor_name_map(arch, blocks)
    c = model.config
    done = set()
    for stored, tensor in sorted(model.state_dict().items()):
        if name == 'gpt2' and stored.endswith(('.attn.bias', '.attn.masked_bias')):
            continue
        if tensor.data_ptr() in done:
            continue
        if stored in ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight') or (stored == 'lm_head.weight' and name != 't5' and c.tie_word_embeddings):
            continue
        done.add(tensor.data_ptr())
        x = tensor.detach().float().numpy()
        if name == 'gpt2' and stored.endswith(('.c_attn.weight', '.c_proj.weight', '.c_fc.weight')):
            x = np.ascontiguousarray(x.T)
        if name == 'llama' and '.q_proj.' in stored:
            x = paired(x, c.num_attention_heads)
        if name == 'llama' and '.k_proj.' in stored:
            x = paired(x, c.num_key_value_heads)
        own = names.get_name(stored, try_suffixes=('.weight', '.bias'))
        assert own, stored
        w.add_tensor(own, np.ascontiguousarray(x))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def causal(model, ids):
    """hf-stride with stride = context: every window scores all but its first token."""
    losses = []
    for at in range(0, min(len(ids), CONTEXT * LIMIT), CONTEXT):
        window = torch.tensor([ids[at:at + CONTEXT]])
        logits = model(window).logits[0, :-1]
        losses += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction='none').double().tolist()
    return losses


def seq2seq(windows):
    def run(model):
        losses = []
        for window in windows:
            labels = torch.tensor([window['labels']])
            logits = model(input_ids=torch.tensor([window['encoder']]), labels=labels).logits[0]
            losses += torch.nn.functional.cross_entropy(logits, labels[0], reduction='none').double().tolist()
        return losses
    return run


def prune_half(model):
    """Exactly half of the blocks' matrices to zero: by magnitude, then name, then position."""
    chosen = sorted((n for n, p in model.named_parameters() if p.dim() == 2 and ('.h.' in n or '.layers.' in n or '.block.' in n) and 'relative_attention_bias' not in n), key=lambda n: [ord(x) for x in n])
    state = dict(model.named_parameters())
    flat = np.concatenate([state[n].detach().numpy().ravel() for n in chosen])
    cut = np.argsort(np.abs(flat), kind='stable')[:round(len(flat) / 2)]
    flat[cut] = 0
    at = 0
    with torch.no_grad():
        for n in chosen:
            p = state[n]
            p.copy_(torch.from_numpy(flat[at:at + p.numel()].reshape(p.shape)))
            at += p.numel()


SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128, initializer_range=0.3)


def models_to_make(sp_size, t5_size):
    return {
        'gpt2': (gguf.MODEL_ARCH.GPT2, lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, bos_token_id=0, eos_token_id=0)), gpt2_keys, 2),
        'qwen2': (gguf.MODEL_ARCH.QWEN2, lambda: Qwen2ForCausalLM(Qwen2Config(**SMALL, vocab_size=VOCAB, num_key_value_heads=2, rope_theta=1e6, tie_word_embeddings=True)), lambda w, c: llama_like(w, c, None), 2),
        'qwen3': (gguf.MODEL_ARCH.QWEN3, lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, vocab_size=VOCAB, num_key_value_heads=2, head_dim=16, rope_theta=1e6, tie_word_embeddings=False)), lambda w, c: llama_like(w, c, 'own'), 2),
        'llama': (gguf.MODEL_ARCH.LLAMA, lambda: LlamaForCausalLM(LlamaConfig(**SMALL, vocab_size=sp_size, num_key_value_heads=2, rope_theta=5e5, tie_word_embeddings=False)), lambda w, c: llama_like(w, c, 'rope'), 2),
        't5': (gguf.MODEL_ARCH.T5, lambda: T5ForConditionalGeneration(T5Config(vocab_size=t5_size, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=3, num_heads=4, feed_forward_proj='gated-gelu', tie_word_embeddings=False, decoder_start_token_id=0, initializer_factor=0.3)), t5_keys, 3),
    }


def made(name):
    """The model of a name, the same each time."""
    all_of_them = models_to_make(sentence_piece('bpe')[3], sentence_piece('unigram')[3])
    torch.manual_seed(100 + list(all_of_them).index(name))
    model = all_of_them[name][1]().eval()
    if name == 't5':
        # A head of its own, as in v1.1 and FLAN; transformers 5 makes it share whatever its config says.
        model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().flip(0).contiguous())
    with torch.no_grad():
        for p in model.parameters():
            # Biases and norms that start as zeros and ones would not tell a mix-up.
            p.add_(torch.randn_like(p) * 0.05)
    return model


def main():
    (HERE / 'models').mkdir(exist_ok=True)
    out = {'odd': ODD, 'context': CONTEXT, 'limit': LIMIT, 'models': []}
    gpt2, qwen2 = byte_level('gpt2'), byte_level('qwen2')
    sp, unigram = sentence_piece('bpe'), sentence_piece('unigram')
    tokenizer_of = {'gpt2': gpt2, 'qwen2': qwen2, 'qwen3': qwen2, 'llama': sp, 't5': unigram}
    for name, (arch, _, keys, blocks) in models_to_make(sp[3], unigram[3]).items():
        model = made(name)
        encode, prefix, write = tokenizer_of[name][:3]
        to_gguf(name, arch, model, lambda w: keys(w, model.config), write, blocks)
        ids = prefix + encode(TEXT)
        if name == 't5':
            n = unigram[3]
            runs = {'prefix-lm': seq2seq(prefix_lm(ids, CONTEXT, 0, 1)[:LIMIT]), 'span-denoising': seq2seq(span_denoising(ids[:CONTEXT * LIMIT], CONTEXT, [n - 1 - i for i in range(100)], 0, 1)[:LIMIT])}
        else:
            runs = {'hf-stride': lambda m: causal(m, ids)}
        entry = {'name': name, 'odd': encode(ODD.rstrip(' ') if name == 't5' else ODD), 'tokens': len(ids), 'firstIds': ids[:24], 'runs': {}}
        with torch.no_grad():
            for pruned in [False, True]:
                if pruned:
                    prune_half(model)
                for protocol, run in runs.items():
                    losses = run(model)
                    entry['runs'].setdefault(protocol, {'scored': len(losses)})['pruned' if pruned else 'value'] = math.exp(math.fsum(losses) / len(losses))
        out['models'].append(entry)
        print(name, entry['tokens'], entry['runs'])
    (HERE / 'models.json').write_text(json.dumps(out, ensure_ascii=True) + '\n')


if __name__ == '__main__':
    main()
