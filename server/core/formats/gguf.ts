import type { Format } from './contract';
import { readGgufHeader } from './gguf/header';
import { interpretGguf } from './gguf/interpret';
import { ggufSidecars, readGgufTokenizer } from './gguf/tokenizer';

/** GGUF, the container of llama.cpp: metadata, tensors in blocks of many quantised types, one file or numbered parts. */
export const gguf: Format = {
  id: 'gguf',
  title: 'GGUF',
  extensions: ['.gguf'],
  editor: 'default',
  indexSuffix: null,
  folderNames: [],
  sniff: (head) => head.length >= 4 && head[0] === 0x47 && head[1] === 0x47 && head[2] === 0x55 && head[3] === 0x46,
  readHeader: readGgufHeader,
  writable: false,
  selfContained: true,
  interpret: interpretGguf,
  readTokenizer: readGgufTokenizer,
  sidecars: ggufSidecars,
};
