import type { EvaluationRequest } from './contract';

/** One published perplexity, and what it takes to compute it again. */
export interface PublishedValue {
  readonly checkpoint: string;
  /** Folder names (or repository names of a Hugging Face cache) that the checkpoint goes by. */
  readonly names: readonly string[];
  /** Keys of config.json that must be so: a folder of that name may hold something else. */
  readonly config: Readonly<Record<string, number | string>>;
  readonly request: Pick<EvaluationRequest, 'benchmark' | 'protocol' | 'context' | 'stride' | 'limit'>;
  /** In words, where the request does not say it all. */
  readonly setting: string;
  readonly published: number;
  /** Largest absolute difference that still agrees: the digits it was printed with, and other kernels. */
  readonly tolerance: number;
  readonly source: string;
  /** The script's own average is what was printed, where it differs from the mean over tokens. */
  readonly asPublished?: true;
  /** Why this cannot be run at all yet. */
  readonly missing?: string;
}

const gpt2 = { checkpoint: 'GPT-2 124M', names: ['gpt2', 'gpt2-small', 'openai-community/gpt2'], config: { model_type: 'gpt2', n_layer: 12, n_embd: 768 } };
const gpt2Large = { checkpoint: 'GPT-2 large', names: ['gpt2-large', 'openai-community/gpt2-large'], config: { model_type: 'gpt2', n_layer: 36, n_embd: 1280 } };
const tiny = { checkpoint: 'tiny-gpt2 (the sample)', names: ['tiny-gpt2'], config: { model_type: 'gpt2', n_layer: 6, n_embd: 128 } };
const stories = { checkpoint: 'stories260k-llama', names: ['stories260k-llama'], config: { model_type: 'llama', num_hidden_layers: 5, hidden_size: 64 } };
const stride = (context: number, step: number) => ({ benchmark: 'wikitext-2-raw', protocol: 'hf-stride', context, stride: step, limit: null });
const GUIDE = 'https://huggingface.co/docs/transformers/perplexity';

/** Published numbers. Adding one is one line. */
export const publishedValues: readonly PublishedValue[] = [
  { ...gpt2, request: stride(1024, 1024), setting: 'the guide\'s script, no overlap', published: 29.94, tolerance: 0.02, source: 'https://github.com/huggingface/transformers/issues/13761', asPublished: true },
  { ...gpt2, request: { benchmark: 'wikitext-2-raw', protocol: 'gptq', context: 1024, stride: 1024, limit: null }, setting: 'zero-shot, float', published: 29.96, tolerance: 0.05, source: 'https://github.com/megvii-research/Sparsebit/pull/125' },
  { ...gpt2, request: { benchmark: 'wikitext-2', protocol: null, context: null, stride: null, limit: null }, setting: 'the GPT-2 paper, per word after its own detokenisers', published: 29.41, tolerance: 0.5, source: 'Radford et al. 2019, table 3', missing: 'the per-word protocol is not implemented yet' },
  { ...gpt2Large, request: stride(1024, 1024), setting: 'the guide\'s script, no overlap', published: 19.44, tolerance: 0.02, source: GUIDE, asPublished: true },
  { ...gpt2Large, request: stride(1024, 512), setting: 'the guide\'s script', published: 16.44, tolerance: 0.02, source: GUIDE, asPublished: true },
  { ...tiny, request: { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: null }, setting: 'transformers, F32', published: 66.39656, tolerance: 0.0014, source: 'media/tiny-gpt2/README.md' },
  { ...stories, request: { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: 6 }, setting: 'transformers, F32, the first 6 windows', published: 48.22675, tolerance: 0.00096, source: 'test/golden/evaluation/perplexity.json' },
];
