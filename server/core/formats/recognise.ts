import { CheckpointError } from '../errors';
import type { Format } from './contract';
import type { FileHead } from './fileHead';
import { foreignKind } from './foreign';
import { formats } from './registry';

/** Longest piece of a stranger's text that goes into a message. */
const MAX_QUOTE = 80;

/**
 * Which format a file is of: its first bytes decide, then its name. What is no checkpoint at all, or of a kind that is
 * not read, is named.
 *
 * @throws CheckpointError `is-empty`, `git-lfs-pointer`, `html-page`, `unsupported-format`, `unknown-format`
 */
export function recognise(file: FileHead): Format {
  const where = { file: file.path };
  if (file.byteLength === 0) throw new CheckpointError('is-empty', where, '0 bytes');
  const text = latin1(file.head).replace(/^\u00ef\u00bb\u00bf/, '').trimStart();

  const pointer = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\r?\n/.exec(text);
  if (pointer) {
    const size = /^size (\d{1,20})\r?$/m.exec(text)?.[1];
    throw new CheckpointError('git-lfs-pointer', where, size ? `the real file has ${size} bytes` : 'the pointer names no size');
  }
  if (/^<(!doctype html|html|head|body|\?xml)\b/i.test(text)) {
    const title = /<title>([^<]*)<\/title>/i.exec(text)?.[1].trim();
    throw new CheckpointError('html-page', where, title ? `titled "${title.slice(0, MAX_QUOTE)}"` : `${file.byteLength} bytes`);
  }

  if (/^\.\.?\/[\w./-]{1,400}$/.test(text) && file.byteLength === file.head.length) {
    // What a copy without symbolic links makes of a Hugging Face cache.
    throw new CheckpointError('wrong-content', where, `a symbolic link that was copied as text, to ${text}`);
  }

  const byContent = formats.find((format) => format.sniff(file.head, file.byteLength));
  if (byContent) return byContent;
  const foreign = foreignKind(file.head, file.path);
  if (foreign) throw new CheckpointError('unsupported-format', where, `the content is ${foreign}`);
  const lower = file.path.toLowerCase();
  const byName = formats.find((format) => format.extensions.some((extension) => lower.endsWith(extension)));
  if (byName) return byName;
  throw new CheckpointError('unknown-format', where, `begins with ${quote(file.head)}`);
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** The first bytes for a person: as text where they are text, else in hexadecimal. */
function quote(head: Uint8Array): string {
  const some = head.subarray(0, 16), text = latin1(some);
  return /^[\x20-\x7e\r\n\t]+$/.test(text) ? JSON.stringify(text) : [...some].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
