import { CheckpointError } from '../errors';
import { specialTokens } from '../evaluation/prepareText';
import { needed } from '../evaluation/protocols/prefixLm';
import type { Tokenizer } from '../evaluation/contract';
import { joinIds } from '../evaluation/windows';
import type { Architecture } from '../models/contract';
import { seededRandom } from '../random';

/** What one run of the model reads: ids, and of an encoder-decoder those of its encoder. */
export interface CalibrationWindow {
  readonly ids: Uint32Array;
  readonly encoder?: Uint32Array;
}

/**
 * Windows of `length` tokens at starts that are drawn uniformly, with repeats, as the published code of SparseGPT and Wanda draws them.
 * Decoders read the ids of the text as they are (its begin token is at the start of the text alone); masked LMs the text between begin
 * and separator tokens, nothing masked; of an encoder-decoder the encoder reads the first half and the end token, and the decoder,
 * begun with its start token, the second half.
 *
 * @throws CheckpointError `too-few-tokens`, `bad-window`, `unsupported-config`
 */
export function calibrationWindows(
  text: string, kind: Architecture['kind'], tokenizer: Tokenizer, config: Readonly<Record<string, unknown>>, wish: { readonly samples: number; readonly length: number; readonly seed: number },
): CalibrationWindow[] {
  const { samples, length, seed } = wish, around = kind === 'encoder' ? tokenizer.prefix.length + tokenizer.suffix.length : 0, room = length - around;
  if (room < 2) throw new CheckpointError('bad-window', { key: 'calibration-length' }, `${length}: a window has at least 2 tokens${around > 0 ? ` besides ${around} special ones` : ''}`);
  const ids = kind === 'decoder' ? joinIds(tokenizer, text, false) : tokenizer.encode(text);
  if (ids.length < room) throw new CheckpointError('too-few-tokens', {}, `${ids.length} tokens; a calibration window has ${room}`);
  const random = seededRandom(seed), special = specialTokens(tokenizer, config);
  return Array.from({ length: samples }, (): CalibrationWindow => {
    const from = Math.floor(random() * (ids.length - room + 1)), body = ids.subarray(from, from + room);
    if (kind === 'decoder') return { ids: body };
    if (kind === 'encoder') return { ids: Uint32Array.of(...tokenizer.prefix, ...body, ...tokenizer.suffix) };
    const half = Math.floor(room / 2), source = body.subarray(0, half), start = needed(special.start, 'decoder_start_token_id');
    return { encoder: special.end === null ? source : Uint32Array.of(...source, special.end), ids: Uint32Array.of(start, ...body.subarray(half)) };
  });
}
