import { cannotOpen } from '../bytes/openSource';
import { CheckpointError, type Problem } from '../errors';
import type { FileHeader, Format } from './contract';
import { denseConfig, interpretCompressed } from './compressed/interpret';
import { interpretMasks } from './foldMasks';
import { readExactly, withFile } from './fileHead';
import { listNames, shownName } from './names';
import { isJsonObject, JsonError, JsonTooLarge, parseStrictJson, type JsonObject } from './strictJson';
import { layOut, readEntry, type Entry } from './safetensorsEntries';

/** The limit of the reference reader. */
export const MAX_HEADER_BYTES = 100_000_000;

/** 8-byte little-endian header length, JSON header, data without holes: github.com/huggingface/safetensors, README. */
export const safetensors: Format = {
  id: 'safetensors',
  title: 'safetensors',
  extensions: ['.safetensors'],
  editor: 'default',
  indexSuffix: '.safetensors.index.json',
  folderNames: ['model.safetensors', 'model.safetensors.index.json'],
  writable: true,
  interpret: (checkpoint) => interpretMasks(interpretCompressed(checkpoint)),
  sidecars: denseConfig,

  sniff(head, byteLength) {
    if (head.length < 9) return false;
    const length = headerLength(head);
    return length >= 2 && length <= Math.min(MAX_HEADER_BYTES, byteLength - 8) && firstInk(head, 8) === '{';
  },

  readHeader(path) {
    try {
      return withFile(path, (fd, byteLength) => {
        if (byteLength < 8) throw new CheckpointError('header-too-short', { file: path }, `${byteLength} bytes; the header length alone takes 8`);
        const start = readExactly(fd, path, 0, Math.min(64, byteLength));
        const length = headerLength(start);
        if (length > byteLength - 8) {
          const plausible = length <= MAX_HEADER_BYTES && firstInk(start, 8) === '{';
          throw plausible
            ? new CheckpointError('header-cut-short', { file: path }, `the header takes ${length} bytes, ${byteLength - 8} of them are there`)
            : new CheckpointError('header-longer-than-file', { file: path }, `header length ${length}, file ${byteLength} bytes`);
        }
        if (length > MAX_HEADER_BYTES) throw new CheckpointError('header-too-large', { file: path }, `header length ${length}, at most ${MAX_HEADER_BYTES}`);
        return parseHeader(readExactly(fd, path, 8, length), path, byteLength);
      });
    } catch (error) {
      throw cannotOpen(error, path);
    }
  },
};

/** The first 8 bytes; Infinity-like values keep their size (a double is exact enough to be refused). */
function headerLength(head: Uint8Array): number {
  const view = new DataView(head.buffer, head.byteOffset, 8);
  return view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
}

/** First character that is no blank, within the bytes at hand. */
function firstInk(bytes: Uint8Array, from: number): string {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== 32 && bytes[at] !== 10 && bytes[at] !== 13 && bytes[at] !== 9) return String.fromCharCode(bytes[at]);
  }
  return '';
}

/** Validates one header against the size of its file. @throws CheckpointError */
function parseHeader(bytes: Uint8Array, file: string, byteLength: number): FileHeader {
  const problems: Problem[] = [];
  if (bytes[0] !== 0x7b && firstInk(bytes, 0) === '{') problems.push({ code: 'header-space-first', where: { file }, detail: 'other readers may refuse it' });

  const header = parseObject(bytes, file);
  let metadata: Record<string, string> | null = null;
  const entries: Entry[] = [];
  for (const [name, value] of header) {
    if (name === '__metadata__') metadata = readMetadata(value, file, problems);
    else entries.push(readEntry(name, value, file));
  }
  const dataFrom = 8 + bytes.length;
  return { tensors: layOut(entries, file, dataFrom, byteLength), metadata, dataFrom, problems };
}

function parseObject(bytes: Uint8Array, file: string): JsonObject {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) throw new CheckpointError('byte-order-mark', { file }, '');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CheckpointError('header-not-json', { file }, 'not UTF-8');
  }
  let header;
  try {
    header = parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    if (error instanceof JsonTooLarge) throw new CheckpointError('header-too-large', { file }, error.message);
    if (error.key === undefined) throw new CheckpointError('header-not-json', { file }, `${error.message} at character ${error.at} of ${text.length}`);
    const [owner] = error.path ?? [];
    if (owner === undefined && error.key !== '__metadata__') throw new CheckpointError('duplicate-tensor', { file, tensor: shownName(error.key) }, '');
    if (owner === undefined || owner === '__metadata__') throw new CheckpointError('header-not-json', { file, key: shownName(error.key) }, 'the key appears twice');
    throw new CheckpointError('bad-tensor-entry', { file, tensor: shownName(owner), key: shownName(error.key) }, `${shownName(error.key)} appears twice`);
  }
  if (!isJsonObject(header)) throw new CheckpointError('header-not-object', { file }, Array.isArray(header) ? 'it is a list' : `it is ${header === null ? 'null' : `a ${typeof header}`}`);
  return header;
}

/** Text values are kept; anything else is named and left out, so that a written copy holds text only. */
function readMetadata(value: ReturnType<typeof parseStrictJson>, file: string, problems: Problem[]): Record<string, string> | null {
  if (!isJsonObject(value)) {
    problems.push({ code: 'metadata-not-text', where: { file, key: '__metadata__' }, detail: '__metadata__ is not an object' });
    return null;
  }
  const bad = [...value].filter(([, item]) => typeof item !== 'string').map(([key]) => key);
  if (bad.length > 0) problems.push({ code: 'metadata-not-text', where: { file, key: shownName(bad[0]) }, detail: listNames(bad) });
  return Object.fromEntries([...value].filter((item): item is [string, string] => typeof item[1] === 'string'));
}
