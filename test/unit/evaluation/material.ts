import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../../../server/core/errors';
import type { ErrorCode } from '../../../server/core/errors';

export const root = path.resolve(__dirname, '../../..');
export const shared = path.resolve(root, '../shared');
export const golden = path.join(root, 'test/golden/evaluation');
export const sharedIsThere = existsSync(path.join(shared, 'cases/manifest.json'));

/** For `test(title, { skip }, ...)`: loud, because a quiet skip looks like a pass. */
export function skipWithout(needed: boolean, what: string): string | false {
  if (needed) return false;
  console.warn(`SKIPPED: ${what} is not there`);
  return `${what} is not there`;
}

export const readJson = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;

/** For assert.throws and assert.rejects: the code, and words the place or the detail must hold. */
export const saying = (code: ErrorCode, ...words: string[]) => (error: unknown): boolean => {
  if (!(error instanceof CheckpointError)) return false;
  const said = `${error.detail} ${Object.values(error.where).join(' ')}`;
  const missing = words.filter((word) => !said.includes(word));
  if (error.code !== code || missing.length > 0) throw new Error(`got ${error.code}: ${said}${missing.length > 0 ? `; without ${missing.join(', ')}` : ''}`);
  return true;
};
