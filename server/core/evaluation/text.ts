import { createHash } from 'node:crypto';
import { readWhole } from '../bytes/readWhole';
import type { Problem } from '../errors';
import { CheckpointError } from '../errors';

/** Far above any benchmark; a text is tokenised in memory (about 30 bytes a character). */
export const MAX_TEXT_BYTES = 512 * 1024 * 1024;

export interface TextFile {
  readonly text: string;
  /** Of the bytes as they are in the file, hexadecimal. */
  readonly sha256: string;
  readonly problems: readonly Problem[];
}

/**
 * Reads a text that must be UTF-8. A byte order mark is taken away and said; NUL is a character like others.
 *
 * @throws CheckpointError `not-found`, `not-readable`, `text-not-utf8` with what the file seems to be
 */
export function readTextFile(file: string): TextFile {
  const bytes = readWhole(file, MAX_TEXT_BYTES);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const guess = encodingGuess(bytes);
  if (guess !== null) throw new CheckpointError('text-not-utf8', { file }, guess);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const at = firstBadByte(bytes);
    throw new CheckpointError('text-not-utf8', { file }, `byte 0x${bytes[at].toString(16).padStart(2, '0').toUpperCase()} at ${at} is not UTF-8; perhaps Latin-1 or Windows-1252`);
  }
  if (!text.startsWith('\ufeff')) return { text, sha256, problems: [] };
  return { text: text.slice(1), sha256, problems: [{ code: 'byte-order-mark', where: { file }, detail: 'the first 3 bytes (EF BB BF) are left out' }] };
}

/** UTF-16 and UTF-32 by their mark, or by every other byte being NUL (UTF-16 of plain English is valid UTF-8 otherwise). */
function encodingGuess(bytes: Uint8Array): string | null {
  const starts = (...mark: number[]): boolean => mark.every((byte, i) => bytes[i] === byte);
  if (starts(0xff, 0xfe, 0, 0) || starts(0, 0, 0xfe, 0xff)) return 'UTF-32 by its byte order mark';
  if (starts(0xff, 0xfe)) return 'UTF-16 (little endian) by its byte order mark';
  if (starts(0xfe, 0xff)) return 'UTF-16 (big endian) by its byte order mark';
  const pairs = Math.min(bytes.length, 4096) >> 1;
  if (pairs < 4) return null;
  let even = 0, odd = 0;
  for (let i = 0; i < pairs; i++) {
    if (bytes[2 * i] === 0) even++;
    if (bytes[2 * i + 1] === 0) odd++;
  }
  if (odd > 0.4 * pairs && even < 0.1 * pairs) return 'UTF-16 (little endian) by its many NUL bytes';
  if (even > 0.4 * pairs && odd < 0.1 * pairs) return 'UTF-16 (big endian) by its many NUL bytes';
  return null;
}

/** Index of the first byte at which UTF-8 breaks. */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0, bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (prefixIsUtf8(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  // Back to where the character begins that the next byte does not continue.
  while (good > 0 && !prefixIsUtf8(bytes.subarray(0, good), false)) good--;
  return good;
}

/** True when the bytes are UTF-8; a character cut at the end is allowed unless `cutAllowed` is false. */
function prefixIsUtf8(bytes: Uint8Array, cutAllowed = true): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: cutAllowed });
    return true;
  } catch {
    return false;
  }
}

/**
 * Joins a benchmark's rows as the usual data set loader and the papers' scripts do: a row is a line with its newline, a line of
 * blanks alone is the empty string, rows are joined with a blank line.
 */
export function joinRows(text: string): string {
  const lines = text.split('\n');
  const tail = lines.pop();
  const rows = lines.map((line) => (line.trim() === '' ? '' : `${line}\n`));
  if (tail !== undefined && tail !== '') rows.push(tail.trim() === '' ? '' : tail);
  return rows.join('\n\n');
}
