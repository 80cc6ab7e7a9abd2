import type { Items } from './metadata';

/** What both kinds are made from. */
export interface Vocabulary {
  readonly file: string;
  readonly tokens: readonly string[];
  /** Types by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types: readonly number[];
  readonly values: Readonly<Record<string, string>>;
  readonly wanted: ReadonlyMap<string, Items>;
}

export const texts = (items: Items | undefined): readonly string[] | null => (items?.every((item) => typeof item === 'string') ? items as readonly string[] : null);
export const numbers = (items: Items | undefined): readonly number[] | null => (items?.every((item) => typeof item === 'number') ? items as readonly number[] : null);

export const flag = (text: string | undefined): boolean | undefined => (text === 'true' ? true : text === 'false' ? false : undefined);

/** Tokens that are found in a text before it is cut: control tokens (special) and those a user defined. */
export function addedTokens({ tokens, types }: Vocabulary): Record<string, unknown>[] {
  return tokens.flatMap((content, id) => (content !== '' && (types[id] === 3 || types[id] === 4)
    ? [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: types[id] === 3 }] : []));
}

/** Puts the begin and end tokens around a text, for loaders that go by tokenizer.json alone. Null when there is nothing to put. */
export function templateAround(config: Readonly<Record<string, unknown>>, tokens: readonly string[]): Record<string, unknown> | null {
  const piece = (content: unknown): unknown[] => (typeof content === 'string' ? [{ SpecialToken: { id: content, type_id: 0 } }] : []);
  const before = config.add_bos_token === true ? piece(config.bos_token) : [], after = config.add_eos_token === true ? piece(config.eos_token) : [];
  const used = [config.add_bos_token === true ? config.bos_token : null, config.add_eos_token === true ? config.eos_token : null].filter((text): text is string => typeof text === 'string');
  if (used.length === 0) return null;
  const text = (id: string, type: number): unknown => ({ Sequence: { id, type_id: type } });
  return {
    type: 'TemplateProcessing', single: [...before, text('A', 0), ...after], pair: [...before, text('A', 0), ...after, ...before, text('B', 1), ...after],
    special_tokens: Object.fromEntries(used.map((content) => [content, { id: content, ids: [tokens.indexOf(content)], tokens: [content] }])),
  };
}
