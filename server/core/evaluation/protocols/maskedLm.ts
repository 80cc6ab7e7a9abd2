import { CheckpointError } from '../../errors';
import { seededRandom } from '../../random';
import type { Masked, Protocol, SpecialTokens, Tokenizer, Window } from '../contract';
import { checkWindow, tooFew } from '../windows';
import { checkDisjoint } from './prefixLm';

const DEFAULT_CONTEXT = 512;
const MASKED_SHARE = 0.15;
const MASK_SHARE = 0.8;
const SEED = 0;

/** Windows of text between begin and separator tokens, the tail kept. `mask` says what is hidden of each; null leaves the window out. */
function windowsOf(id: string, tokenizer: Tokenizer, text: string, options: { context: number; stride: number }, maskOf: (mask: number) => (ids: Uint32Array, from: number, to: number) => Masked | null, special: SpecialTokens | undefined): { tokens: number; windows: Window[] } {
  const { context } = checkDisjoint(id, checkWindow(options)), { prefix, suffix } = tokenizer;
  const room = context - prefix.length - suffix.length;
  if (room < 1) throw new CheckpointError('bad-window', { key: 'context' }, `${context}: no room between ${prefix.length} tokens before and ${suffix.length} after`);
  const mask = maskOf(maskToken(special));
  const body = tokenizer.encode(text);
  if (body.length === 0) throw tooFew(0, 'at least 1 is needed');
  const windows: Window[] = [];
  for (let at = 0; at < body.length; at += room) {
    const ids = Uint32Array.of(...prefix, ...body.subarray(at, at + room), ...suffix);
    const masked = mask(ids, prefix.length, ids.length - suffix.length);
    if (masked) windows.push({ ids, scoreFrom: masked.at[0], scoreTo: masked.at[0] + masked.at.length, masked });
  }
  return { tokens: body.length, windows };
}

function maskToken(special: SpecialTokens | undefined): number {
  if (special?.mask === null || special?.mask === undefined) throw new CheckpointError('metric-makes-no-sense', {}, 'the tokenizer has no mask token');
  return special.mask;
}

const defaults = (maxContext: number): { context: number; stride: number } => ({ context: Math.min(DEFAULT_CONTEXT, maxContext), stride: Math.min(DEFAULT_CONTEXT, maxContext) });

/** Pseudo-log-likelihood: one run a token. */
export const mlmPll: Protocol = {
  id: 'mlm-pll',
  title: 'Pseudo-log-likelihood',
  kind: 'encoder',
  metric: 'pseudo-perplexity',
  summary: 'Disjoint windows of `context` - 2 tokens between the begin and the separator token, the tail kept. Each token in turn is replaced by the mask and scored with all '
    + 'others in sight; begin and separator are not scored. As many runs as tokens. Salazar et al. 2020; not a perplexity of the text, and never compared with one.',
  joinsRows: true,
  defaults,
  strideOf: (context) => context,
  windows(tokenizer, text, options, special) {
    return windowsOf('mlm-pll', tokenizer, text, options, (mask) => (_, from, to) =>
      ({ at: Uint32Array.from({ length: to - from }, (_unused, i) => from + i), by: new Uint32Array(to - from).fill(mask), how: 'apart' }), special);
  },
};

/** The loss of masked language modelling, one run a window. */
export const mlm15: Protocol = {
  id: 'mlm-15',
  title: 'Masked language modelling, 15 %',
  kind: 'encoder',
  metric: 'pseudo-perplexity',
  summary: 'Windows as for mlm-pll; 15 % of the tokens that are not special are scored (seed 0), all at once: 80 % of them replaced by the mask, 10 % by a random token, 10 % left '
    + 'as they are. What run_mlm.py of transformers prints as its perplexity, with other draws.',
  joinsRows: true,
  defaults,
  strideOf: (context) => context,
  windows(tokenizer, text, options, special) {
    const random = seededRandom(SEED), size = special?.size ?? tokenizer.size;
    return windowsOf('mlm-15', tokenizer, text, options, (mask) => (ids) => {
      const draw = (): number[] => Array.from(ids, () => random());
      // One draw a token for each decision, as the collator of transformers does it.
      const [chosen, replaced, other, word] = [draw(), draw(), draw(), draw()];
      const at = Uint32Array.from(ids.keys()).filter((i) => chosen[i] < MASKED_SHARE && !(special?.all.has(ids[i]) ?? false));
      const by = at.map((i) => (replaced[i] < MASK_SHARE ? mask : other[i] < 0.5 ? Math.floor(word[i] * size) : ids[i]));
      return at.length === 0 ? null : { at, by, how: 'together' };
    }, special);
  },
};
