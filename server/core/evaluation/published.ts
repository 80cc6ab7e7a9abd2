import type { Scope } from '../pruning/contract';
import type { EvaluationRequest } from './contract';

/** One published perplexity, and what it takes to compute it again. */
export interface PublishedValue {
  readonly checkpoint: string;
  /** Folder names (or repository names of a Hugging Face cache) that the checkpoint goes by. */
  readonly names: readonly string[];
  /** Keys of config.json that must be so: a folder of that name may hold something else. */
  readonly config: Readonly<Record<string, number | string>>;
  readonly request: Pick<EvaluationRequest, 'benchmark' | 'protocol' | 'context' | 'stride' | 'limit'>;
  /** Pruned before it is evaluated, as a sweep does it; missing for the checkpoint as it is. */
  readonly pruned?: { readonly method: string; readonly scope: Scope | null; readonly level: number };
  /** In words, what the request does not say. */
  readonly setting: string;
  readonly published: number;
  /** Largest absolute difference that still agrees: the digits it was printed with, other kernels, and what the setting leaves open. */
  readonly tolerance: number;
  readonly source: string;
  /** The script's own average is what was printed, where it differs from the mean over tokens. */
  readonly asPublished?: true;
  /** Why this cannot be run at all. */
  readonly missing?: string;
}

const gpt2 = { checkpoint: 'GPT-2 124M', names: ['gpt2', 'gpt2-small', 'openai-community/gpt2'], config: { model_type: 'gpt2', n_layer: 12, n_embd: 768 } };
const gpt2Large = { checkpoint: 'GPT-2 large', names: ['gpt2-large', 'openai-community/gpt2-large'], config: { model_type: 'gpt2', n_layer: 36, n_embd: 1280 } };
const opt = { checkpoint: 'OPT-125M', names: ['opt-125m', 'facebook/opt-125m'], config: { model_type: 'opt', num_hidden_layers: 12, hidden_size: 768 } };
const llama2 = { checkpoint: 'LLaMA-2-7B', names: ['Llama-2-7b-hf', 'llama-2-7b', 'meta-llama/Llama-2-7b-hf'], config: { model_type: 'llama', num_hidden_layers: 32, hidden_size: 4096, vocab_size: 32000 } };
const tiny = { checkpoint: 'tiny-gpt2 (the sample)', names: ['tiny-gpt2'], config: { model_type: 'gpt2', n_layer: 6, n_embd: 128 } };
const stories = { checkpoint: 'stories260k-llama', names: ['stories260k-llama'], config: { model_type: 'llama', num_hidden_layers: 5, hidden_size: 64 } };

const stride = (context: number, step: number) => ({ benchmark: 'wikitext-2-raw', protocol: 'hf-stride', context, stride: step, limit: null });
const papers = (context: number) => ({ benchmark: 'wikitext-2-raw', protocol: 'gptq', context, stride: context, limit: null });
const perWord = (benchmark: string) => ({ benchmark, protocol: 'lm-eval-word', context: null, stride: null, limit: null });

const GUIDE = 'Hugging Face, "Perplexity of fixed-length models", https://huggingface.co/docs/transformers/perplexity';
const ISSUE = 'https://github.com/huggingface/transformers/issues/13761';
const PAPER = 'Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 3';
const SPARSEGPT = 'Frantar and Alistarh 2023, "SparseGPT", table 1';
const NO_SOURCE = 'passed on without a source';
const unknown = 'the number is passed on, but no text, window or script was found that it belongs to';

/** Published numbers. Adding one is one line. */
export const publishedValues: readonly PublishedValue[] = [
  { ...gpt2, request: perWord('wikitext-2'), setting: 'per word; the paper\'s own detokenisers were not published and gained it 2.5 to 5, those of lm-evaluation-harness stand in', published: 29.41, tolerance: 0.5, source: `${PAPER}; losses scaled to the words of the tokenised text, https://github.com/openai/gpt-2/issues/78` },
  { ...gpt2, request: perWord('wikitext-2-raw'), setting: 'lm-evaluation-harness, task wikitext, word_perplexity', published: 37.37, tolerance: 0.05, source: ISSUE },
  { ...gpt2, request: stride(1024, 1024), setting: 'the guide\'s script, no overlap', published: 29.94, tolerance: 0.02, source: ISSUE, asPublished: true },
  { ...gpt2, request: papers(1024), setting: 'zero-shot, float', published: 29.96, tolerance: 0.05, source: 'Sparsebit, https://github.com/megvii-research/Sparsebit/pull/125' },
  { ...gpt2, request: stride(1024, 1024), setting: 'not known', published: 30.63, tolerance: 0.02, source: NO_SOURCE, missing: unknown },
  { ...gpt2, request: stride(1024, 512), setting: 'not known', published: 27.23, tolerance: 0.02, source: NO_SOURCE, missing: unknown },
  { ...gpt2Large, request: stride(1024, 1024), setting: 'the guide\'s script, no overlap', published: 19.44, tolerance: 0.02, source: GUIDE, asPublished: true },
  { ...gpt2Large, request: stride(1024, 512), setting: 'the guide\'s script', published: 16.44, tolerance: 0.02, source: GUIDE, asPublished: true },
  { ...opt, request: papers(2048), setting: 'dense', published: 27.66, tolerance: 0.03, source: SPARSEGPT },
  { ...opt, request: papers(2048), pruned: { method: 'magnitude', scope: 'tensor', level: 0.5 }, setting: 'each matrix of the blocks by itself', published: 193, tolerance: 1.5, source: SPARSEGPT },
  { ...opt, request: papers(2048), pruned: { method: 'sparsegpt', scope: null, level: 0.5 }, setting: 'the paper calibrates on 128 windows of C4; another text or draw moves the value', published: 36.85, tolerance: 1.5, source: SPARSEGPT },
  { ...llama2, request: papers(2048), setting: 'published in F16', published: 5.47, tolerance: 0.01, source: 'Lin et al. 2023, "AWQ", table 4, https://arxiv.org/abs/2306.00978' },
  { ...llama2, request: papers(4096), setting: 'published in F16, its full context', published: 5.12, tolerance: 0.01, source: 'Sun et al. 2023, "Wanda", dense; context told in https://github.com/locuslab/wanda/issues/47' },
  { ...tiny, request: { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: null }, setting: 'transformers, F32', published: 66.39656, tolerance: 0.0014, source: 'media/tiny-gpt2/README.md' },
  { ...stories, request: { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: 6 }, setting: 'transformers, F32, the first 6 windows', published: 48.22675, tolerance: 0.00096, source: 'test/golden/evaluation/perplexity.json' },
];
