/** What each method costs at 50 %, honestly: calibrated on text that is not evaluated, paired over the same held-out tokens. Run by methods.mjs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compare, tableOf, waysAt, writeTrainedChapters } from './comparison';
import { runMeasured } from './measure';

const root = path.resolve(__dirname, '../..'), work = path.join(root, 'build/methods'), shared = path.join(root, '../shared/models');
const threads = 2, against = ['dense', 'magnitude, row', 'wanda, row'];

async function table(title: string, model: string, calibration: string, heldOut: string, context: number, words: readonly string[]): Promise<void> {
  const ways = waysAt(0.5, ['--calibration', calibration, ...words]);
  const compared = await compare({
    model, heldOut, context, ways, against, threads, scratch: path.join(work, 'out'),
    async prune(given) { await runMeasured(process.execPath, [path.join(root, 'dist/cli.js'), 'prune', ...given, '--threads', String(threads), '--json']); },
  });
  console.log(`\n${title}; ${compared[0].scoredTokens} held-out tokens, windows of ${context}, ${words.join(' ') || 'calibration as by default'}\n\n${tableOf(compared, against)}`);
}

/** Two halves of one sample of the model's own stories: the first calibrates, the second is evaluated. */
function stories(model: string): { calibration: string; heldOut: string } {
  const all = path.join(work, 'stories.txt'), calibration = path.join(work, 'stories-calibration.txt'), heldOut = path.join(work, 'stories-held-out.txt');
  if (!existsSync(all)) execFileSync(process.env.WINNOW_PYTHON ?? 'python3', [path.join(__dirname, 'sampleStories.py'), model, all, '60000', '2'], { stdio: 'inherit' });
  const lines = readFileSync(all, 'utf8').trimEnd().split('\n'), half = lines.length >> 1;
  writeFileSync(calibration, lines.slice(0, half).join('\n'));
  writeFileSync(heldOut, lines.slice(half).join('\n'));
  return { calibration, heldOut };
}

async function main(): Promise<void> {
  mkdirSync(work, { recursive: true });
  const trained = path.join(work, 'moby-dick-1-115.txt');
  writeTrainedChapters(trained);
  await table('tiny-gpt2, calibrated on Moby-Dick 1 to 115, evaluated on 116 to 135', path.join(root, 'media/tiny-gpt2'), trained, path.join(root, 'dist/sample.txt'), 256, []);
  const llama = path.join(shared, 'stories260k-llama');
  if (!existsSync(llama)) { console.log('SKIPPED: ../shared/models/stories260k-llama is not there'); return; }
  const { calibration, heldOut } = stories(llama);
  await table('stories260k-llama, stories that the dense model wrote, one half calibrated, the other evaluated', llama, calibration, heldOut, 128, ['--calibration-length', '256']);
}

void main().catch((error: unknown) => { console.error(error); process.exitCode = 1; });
