import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { scratch, sha, winnow } from '../pruning/helpers';

const root = path.resolve(__dirname, '../../..'), model = path.join(root, 'media/tiny-gpt2'), folder = scratch('resume');
const text = path.join(folder, 'text.txt');
// Not a text that anything evaluates, and long enough for windows of 128.
writeFileSync(text, Array.from({ length: 3000 }, (_, i) => `the ${(i * 7919) % 1013} whales of ${(i * 104729) % 997} seas`).join('. '));
const words = (out: string): string[] => ['prune', model, '--method', 'wanda', '--sparsity', '0.5', '--calibration', text, '--calibration-samples', '12', '--calibration-length', '128', '--out', out];
const stateOf = (): string | undefined => readdirSync(folder).find((name) => name.startsWith('.calibration-'));

/** Starts the pruning in a process of its own and waits until a segment is done. */
async function until(segment: number, out: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(root, 'server/cli.ts'), ...words(out), '--threads', '1'], { cwd: root, stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve, reject) => { child.on('error', reject); child.on('exit', resolve); });
  let running = true;
  void ended.finally(() => { running = false; });
  const file = (): string => path.join(folder, stateOf() ?? 'none', `segment-${segment}.json`);
  while (running && !existsSync(file())) await wait(2);
  assert.ok(running, 'it was over before it could be looked at');
  return { child, ended };
}

test('a calibration that is killed goes on with the next block and gives the same bytes; then nothing is left', { timeout: 120_000 }, async () => {
  const whole = path.join(folder, 'whole'), resumed = path.join(folder, 'resumed');
  const uninterrupted = await winnow(words(whole));
  assert.equal(uninterrupted.code, 0, uninterrupted.err);
  assert.equal(stateOf(), undefined, 'the state of a finished run is removed');
  assert.equal((uninterrupted.json as { calibration: { tokens: number; provider: string } }).calibration.tokens, 12 * 128);

  const first = await until(2, resumed);
  first.child.kill('SIGKILL');
  await first.ended;
  const state = path.join(folder, stateOf()!), done = statSync(path.join(state, 'segment-2.json'));
  assert.ok(!existsSync(resumed));
  const second = await until(4, resumed);
  const now = statSync(path.join(state, 'segment-2.json'));
  assert.deepEqual([now.ino, now.mtimeMs], [done.ino, done.mtimeMs], 'a finished block was calibrated again');
  assert.equal(await second.ended, 0);
  assert.equal(sha(path.join(resumed, 'model.safetensors')), sha(path.join(whole, 'model.safetensors')));
  assert.equal(stateOf(), undefined);
});

test('another text, seed or way is another pruning; the same once more is the same', { timeout: 120_000 }, async () => {
  const bytes = async (name: string, ...more: string[]): Promise<string> => {
    const { code, err } = await winnow([...words(path.join(folder, name)), ...more]);
    assert.equal(code, 0, err);
    return sha(path.join(folder, name, 'model.safetensors'));
  };
  const made = [sha(path.join(folder, 'whole', 'model.safetensors')), await bytes('seed', '--seed', '1'), await bytes('shot', '--one-shot')];
  assert.equal(new Set(made).size, made.length);
});

test('a text that is evaluated is refused, and so are calibrations that cannot be', async () => {
  const refused = async (...more: string[]): Promise<string> => {
    const { code, err } = await winnow([...words(path.join(folder, 'none')).filter((word) => word !== text && word !== '--calibration'), ...more]);
    assert.notEqual(code, 0);
    return err;
  };
  const sample = path.join(root, 'dist/sample.txt');
  if (existsSync(sample)) assert.match(await refused('--calibration', sample), /calibration-is-evaluated|is a text that is evaluated/);
  else console.log('SKIPPED: dist/sample.txt is not built (node esbuild.mjs)');
  const short = path.join(folder, 'short.txt');
  writeFileSync(short, 'Call me Ishmael.');
  assert.match(await refused('--calibration', short), /too short|too-few-tokens/);
  assert.match(await refused('--calibration', path.join(folder, 'nowhere.txt')), /nowhere\.txt/);
  const { code, err } = await winnow(['prune', model, '--sparsity', '0.5', '--one-shot', '--out', path.join(folder, 'none')]);
  assert.equal(code, 2);
  assert.match(err, /magnitude needs none/);
  assert.ok(readFileSync(text).length > 0 && !existsSync(path.join(folder, 'none')));
});
