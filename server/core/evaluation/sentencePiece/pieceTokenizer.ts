import path from 'node:path';
import type { Tokenizer } from '../contract';
import { tokenText, type Json } from '../tokenizerFiles';
import { namedTokens } from '../tokenizerLikeTransformers';
import { pieceFamily, type PieceFamily } from './families';
import { makeNormaliser } from './normalise';
import { pieceTypes, readPieceModel, type PieceModel } from './pieceModel';
import { makeSegmenter } from './segment';

/** Sentinels that T5 has where nobody says how many. */
const EXTRA_IDS = 100;
const MAX_EXTRA_IDS = 100_000;

/** What a folder says about a tokenizer beside the SentencePiece file. */
export interface PieceFolder {
  readonly file: string;
  readonly config: Json;
  /** added_tokens.json: ids by text. */
  readonly added: Readonly<Record<string, number>>;
  readonly modelType: string | null;
}

/**
 * The tokenizer of a folder that has a SentencePiece file and no tokenizer.json. Ids are those of the library that trained
 * it, moved as the family does; special tokens are found in the text first, as transformers does.
 *
 * @throws CheckpointError `tokenizer-broken`
 */
export function loadPieceTokenizer(folder: PieceFolder): Tokenizer {
  const { file, config, modelType } = folder, model = readPieceModel(file), family = pieceFamily(modelType, config);
  const { texts, idOfPiece } = layOut(model, family, config);
  const ids = new Map<string, number>();
  texts.forEach((text, id) => { if (!ids.has(text)) ids.set(text, id); });
  const specials = new Set<number>();
  const add = (text: string, special: boolean, at?: number): void => {
    if (text === '') return;
    const id = ids.get(text) ?? at ?? texts.length;
    texts[id] ??= text;
    ids.set(text, id);
    if (special) specials.add(id);
    addedTexts.add(text);
  };
  const addedTexts = new Set<string>();
  model.pieces.forEach(({ text, type }, id) => {
    // The file's own names of what fairseq has under other ids are told by name below.
    if (family.layout !== 'fairseq' && (type === pieceTypes.control || type === pieceTypes.unknown)) add(text, true, id);
  });
  if (family.layout === 'with sentinels') for (const text of texts) if (/^<extra_id_\d+>$/.test(text)) add(text, true);
  for (const [text, id] of Object.entries(folder.added)) add(text, true, id);
  const declared = typeof config.added_tokens_decoder === 'object' && config.added_tokens_decoder !== null ? Object.entries(config.added_tokens_decoder as Json) : [];
  for (const [id, token] of declared) { const text = tokenText(token); if (text !== null) add(text, (token as Json).special === true, Number(id)); }
  const named: Json = { ...family.named, ...Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null)) };
  for (const key of namedTokens) { const text = tokenText(named[key]); if (text !== null) add(text, true); }
  for (let id = 0; id < texts.length; id++) texts[id] ??= `#${id}`;

  const normalise = makeNormaliser(model), segment = makeSegmenter(model);
  const pattern = new RegExp([...addedTexts].sort((a, b) => b.length - a.length).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
  const encodePart = (text: string, isFirst: boolean, out: number[]): void => {
    if (text === '') return;
    const prefix = family.prefix === 'always' || config.legacy === true ? 'always' : isFirst ? 'unlessBlank' : 'never';
    for (const id of segment(normalise(family.clean ? family.clean(text, config) : text, prefix))) out.push(idOfPiece(id));
  };
  const around = (flag: unknown, usual: readonly string[], token: unknown): number[] => {
    const wanted = flag === false ? [] : flag === true && usual.length === 0 ? [tokenText(token) ?? ''] : usual;
    return wanted.flatMap((text) => ids.get(text) ?? []);
  };
  const idNamed = (key: string): number | null => { const text = tokenText(named[key]); return text === null ? null : ids.get(text) ?? null; };
  const before = around(config.add_bos_token, family.before, named.bos_token), after = around(config.add_eos_token, family.after, named.eos_token);
  return {
    size: texts.length,
    name: `${path.basename(file)} ${model.kind === 'unigram' ? 'Unigram' : 'BPE'} ${texts.length}, ${before.length === 0 ? 'no begin token' : `begin ${before.map((id) => texts[id]).join(' ')}`}`,
    prefix: before, suffix: after,
    encode(text) {
      const out: number[] = [];
      let from = 0;
      for (const match of text.matchAll(pattern)) {
        encodePart(text.slice(from, match.index), from === 0, out);
        out.push(ids.get(match[0])!);
        from = match.index + match[0].length;
      }
      encodePart(text.slice(from), from === 0, out);
      return Uint32Array.from(out);
    },
    tokenOf: (id) => texts[id] ?? `#${id}`,
    idOf: (token) => ids.get(token) ?? null,
    mask: idNamed('mask_token'), begin: idNamed('bos_token'), end: idNamed('eos_token'),
    specialIds: specials,
  };
}

/** Texts by id, and where the id of a piece of the file went. */
function layOut(model: PieceModel, family: PieceFamily, config: Json): { readonly texts: string[]; readonly idOfPiece: (id: number) => number } {
  const pieces = model.pieces.map(({ text }) => text);
  if (family.layout === 'fairseq') {
    // <s>, <pad>, </s> and <unk> come first, whatever the file has there; then its pieces from the third on, and the mask.
    return { texts: ['<s>', '<pad>', '</s>', '<unk>', ...pieces.slice(3), '<mask>'], idOfPiece: (id) => (id === model.unknown ? 3 : id + 1) };
  }
  const sentinels = family.layout === 'with sentinels' ? Math.min(typeof config.extra_ids === 'number' && config.extra_ids >= 0 ? Math.trunc(config.extra_ids) : EXTRA_IDS, MAX_EXTRA_IDS) : 0;
  return { texts: [...pieces, ...Array.from({ length: sentinels }, (_, i) => `<extra_id_${sentinels - 1 - i}>`)], idOfPiece: (id) => id };
}
