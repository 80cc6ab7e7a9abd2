/** Perplexity against transformers + PyTorch on the CPU: same model folder, text, windows and dtype; runs alternate. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { writeCheckpoint } from '../fixtures/synthesise';
import { median, mib, runMeasured, spread } from './measure';

export interface PerplexityBench {
  readonly work: string;
  readonly shared: string;
  readonly cli: string;
  readonly threads: number;
  readonly repeats: number;
  readonly quick: boolean;
  row(what: string, measured: string, bar: string, holds: boolean | null): void;
}

type Shapes = Record<string, number[]>;
interface Peer {
  readonly title: string;
  readonly tokenizer: 'gpt2' | 't5';
  readonly config: Record<string, unknown>;
  readonly shapes: Shapes;
  readonly runs: readonly { readonly protocol: 'hf-stride' | 'prefix-lm'; readonly context: number; readonly stride: number }[];
}

/** Names below `prefix`, for each of `count` blocks. */
const blocks = (count: number, prefix: (block: number) => string, shapes: Shapes): Shapes =>
  Object.assign({}, ...Array.from({ length: count }, (_, i) => Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [prefix(i) + name, shape]))));

function gpt2Small(shared: string): Peer {
  const config = JSON.parse(readFileSync(path.join(shared, 'big/gpt2-xl/config.json'), 'utf8')) as Record<string, unknown>;
  return {
    title: 'GPT-2 small shapes', tokenizer: 'gpt2', config: { ...config, n_embd: 768, n_head: 12, n_layer: 12 },
    shapes: {
      'wte.weight': [50257, 768], 'wpe.weight': [1024, 768], 'ln_f.weight': [768], 'ln_f.bias': [768],
      ...blocks(12, (i) => `h.${i}.`, {
        'ln_1.weight': [768], 'ln_1.bias': [768], 'attn.c_attn.weight': [768, 2304], 'attn.c_attn.bias': [2304], 'attn.c_proj.weight': [768, 768], 'attn.c_proj.bias': [768],
        'ln_2.weight': [768], 'ln_2.bias': [768], 'mlp.c_fc.weight': [768, 3072], 'mlp.c_fc.bias': [3072], 'mlp.c_proj.weight': [3072, 768], 'mlp.c_proj.bias': [768],
      }),
    },
    // The whole of every window, and the default of the protocol, which scores the second half of all but the first.
    runs: [{ protocol: 'hf-stride', context: 1024, stride: 1024 }, { protocol: 'hf-stride', context: 1024, stride: 512 }],
  };
}

/** SmolLM2-135M's shapes, but for the rows of the vocabulary, which are those of the tokenizer at hand. */
const llama135: Peer = {
  title: 'Llama 135 M shapes', tokenizer: 'gpt2',
  config: {
    model_type: 'llama', architectures: ['LlamaForCausalLM'], hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, num_attention_heads: 9, num_key_value_heads: 3, vocab_size: 50257,
    max_position_embeddings: 8192, rms_norm_eps: 1e-5, rope_theta: 100000, hidden_act: 'silu', tie_word_embeddings: true, bos_token_id: 50256, eos_token_id: 50256,
  },
  shapes: {
    'model.embed_tokens.weight': [50257, 576], 'model.norm.weight': [576],
    ...blocks(30, (i) => `model.layers.${i}.`, {
      'input_layernorm.weight': [576], 'self_attn.q_proj.weight': [576, 576], 'self_attn.k_proj.weight': [192, 576], 'self_attn.v_proj.weight': [192, 576], 'self_attn.o_proj.weight': [576, 576],
      'post_attention_layernorm.weight': [576], 'mlp.gate_proj.weight': [1536, 576], 'mlp.up_proj.weight': [1536, 576], 'mlp.down_proj.weight': [576, 1536],
    }),
  },
  runs: [{ protocol: 'hf-stride', context: 1024, stride: 1024 }, { protocol: 'hf-stride', context: 1024, stride: 512 }],
};

const t5Attention = (name: string): Shapes => Object.fromEntries(['q', 'k', 'v', 'o'].map((part) => [`${name}.${part}.weight`, [768, 768]]));
const t5Base: Peer = {
  title: 'T5-base shapes', tokenizer: 't5',
  config: {
    model_type: 't5', architectures: ['T5ForConditionalGeneration'], d_model: 768, d_kv: 64, d_ff: 3072, num_layers: 12, num_decoder_layers: 12, num_heads: 12, vocab_size: 32128, relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128, layer_norm_epsilon: 1e-6, feed_forward_proj: 'relu', tie_word_embeddings: true, decoder_start_token_id: 0, pad_token_id: 0, eos_token_id: 1,
  },
  shapes: {
    'shared.weight': [32128, 768], 'encoder.final_layer_norm.weight': [768], 'decoder.final_layer_norm.weight': [768],
    'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': [32, 12], 'decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': [32, 12],
    ...blocks(12, (i) => `encoder.block.${i}.layer.`, { ...t5Attention('0.SelfAttention'), '0.layer_norm.weight': [768], '1.DenseReluDense.wi.weight': [3072, 768], '1.DenseReluDense.wo.weight': [768, 3072], '1.layer_norm.weight': [768] }),
    ...blocks(12, (i) => `decoder.block.${i}.layer.`, {
      ...t5Attention('0.SelfAttention'), '0.layer_norm.weight': [768], ...t5Attention('1.EncDecAttention'), '1.layer_norm.weight': [768], '2.DenseReluDense.wi.weight': [3072, 768], '2.DenseReluDense.wo.weight': [768, 3072], '2.layer_norm.weight': [768],
    }),
  },
  runs: [{ protocol: 'prefix-lm', context: 1024, stride: 1024 }],
};

interface Figures { readonly value: number; readonly tokensPerSecond: number; readonly windows: number }

/** One row of speed, one of equality and one of memory for every run of every model. */
export async function benchPerplexity(bench: PerplexityBench): Promise<void> {
  const { work, shared, cli, threads, row } = bench, python = process.env.WINNOW_PYTHON ?? 'python3';
  const text = path.join(shared, 'data/wikitext-2/wiki.test.raw'), limit = bench.quick ? 4 : 8;
  for (const { title, tokenizer, config, shapes, runs } of [gpt2Small(shared), llama135, t5Base]) {
    const folder = path.join(work, 'perplexity');
    mkdirSync(folder, { recursive: true });
    writeCheckpoint(path.join(folder, 'model.safetensors'), shapes, { dtype: 'F32', seed: 3 });
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
    cpSync(path.join(shared, 'tokenizers', tokenizer), folder, { recursive: true });
    for (const { protocol, context, stride } of runs) {
      const ratios: number[] = [], memory: number[] = [], theirMemory: number[] = [];
      let ours: Figures = { value: 0, tokensPerSecond: 0, windows: 0 }, theirs = ours;
      for (let i = 0; i < Math.min(3, bench.repeats); i++) {
        const args = ['eval', folder, '--text', text, '--protocol', protocol, '--context', String(context), ...(protocol === 'hf-stride' ? ['--stride', String(stride)] : []), '--limit', String(limit), '--provider', 'cpu', '--threads', String(threads), '--json'];
        const mine = await runMeasured(process.execPath, [cli, ...args]);
        const peer = await runMeasured(python, [path.join(__dirname, 'perplexity.py'), folder, text, protocol, String(context), String(stride), String(limit), String(threads)]);
        ours = JSON.parse(mine.stdout) as Figures;
        theirs = JSON.parse(peer.stdout) as Figures;
        ratios.push(ours.tokensPerSecond / theirs.tokensPerSecond);
        memory.push(mine.peakAnon);
        theirMemory.push(peer.peakAnon);
      }
      const what = `perplexity, ${title}, ${protocol} ${context}/${stride}, F32, CPU, ${threads} threads, ${ours.windows} windows`, error = Math.abs(ours.value - theirs.value) / theirs.value;
      row(`${what}: tokens/s against transformers + PyTorch`, `${spread(ratios)} x (ours ${ours.tokensPerSecond.toFixed(0)}, theirs ${theirs.tokensPerSecond.toFixed(0)})`, '>= 1.3 x, aim 2 x', median(ratios) >= 1.3);
      row(`${what}: relative difference`, error.toExponential(1), '<= 2e-5', error <= 2e-5);
      row(`${what}: memory (RssAnon of the tree)`, `${mib(Math.max(...memory))} against ${mib(Math.max(...theirMemory))}`, 'printed', null);
    }
    rmSync(folder, { recursive: true });
  }
}
