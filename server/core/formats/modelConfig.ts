import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Problem } from '../errors';
import { readSmallText } from './fileHead';

/** Published configs have a few KB; label lists reach a few MB. */
export const MAX_CONFIG_BYTES = 16 * 2 ** 20;

/** The folder's config.json, untrusted. A broken one is a remark, not a failure: weights can be shown without it. */
export function readModelConfig(folder: string): { readonly config: Readonly<Record<string, unknown>> | null; readonly problems: readonly Problem[] } {
  const file = path.join(folder, 'config.json');
  if (!existsSync(file)) return { config: null, problems: [] };
  const broken = (detail: string): ReturnType<typeof readModelConfig> => ({ config: null, problems: [{ code: 'config-not-json', where: { file }, detail }] });
  try {
    const text = readSmallText(file, MAX_CONFIG_BYTES);
    if (text === null) return broken(`longer than ${MAX_CONFIG_BYTES} bytes`);
    const config: unknown = JSON.parse(tolerant(text));
    if (typeof config !== 'object' || config === null || Array.isArray(config)) return broken('not an object');
    return { config: config as Record<string, unknown>, problems: [] };
  } catch (error) {
    return broken(error instanceof Error ? error.message.split('\n')[0].slice(0, 200) : 'unreadable');
  }
}

/** Python's json writes NaN and Infinity bare, and reads them back; outside of text they become null here. */
function tolerant(text: string): string {
  const plain = text.replace(/^\ufeff/, '');
  if (!/NaN|Infinity/.test(plain)) return plain;
  return plain.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (match) => (match.startsWith('"') ? match : 'null'));
}
