import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { availableMemory, checkMemory, memoryNeed } from '../../../server/core/runtime/memory';
import { tinyGpt2Graph } from './fixture';

const MIB = 2 ** 20;

/** A pretended root folder with the given files below it. */
function machine(files: Readonly<Record<string, string>>, use: (root: string) => void): void {
  const root = mkdtempSync(path.join(tmpdir(), 'winnow-memory-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), content);
    }
    use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const meminfo = { 'proc/meminfo': `MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8192000 kB\n` };
const group2 = (folder: string, max: string, current: number, stat: string): Record<string, string> =>
  ({ [`sys/fs/cgroup${folder}/memory.max`]: `${max}\n`, [`sys/fs/cgroup${folder}/memory.current`]: `${current}\n`, [`sys/fs/cgroup${folder}/memory.stat`]: stat });

test('without a limit it is what the kernel calls available', () => {
  machine(meminfo, (root) => assert.equal(availableMemory(root, 'linux'), 8192000 * 1024));
  machine({ ...meminfo, 'proc/self/cgroup': '0::/a\n', ...group2('/a', 'max', 5, '') }, (root) => assert.equal(availableMemory(root, 'linux'), 8192000 * 1024));
});

test('the tightest control group above decides, and file pages count as free', () => {
  const files = { ...meminfo, 'proc/self/cgroup': '0::/a/b\n', ...group2('/a', String(900 * MIB), 500 * MIB, `anon 1\ninactive_file ${60 * MIB}\nactive_file ${40 * MIB}\n`), ...group2('/a/b', String(4000 * MIB), 10 * MIB, '') };
  machine(files, (root) => assert.equal(availableMemory(root, 'linux'), 500 * MIB));
});

test('version 1 groups count too, and usage above the limit is nothing, not less', () => {
  const at = 'sys/fs/cgroup/memory/x';
  const files = { ...meminfo, 'proc/self/cgroup': '4:memory:/x\n3:cpuset:/\n0::/\n', [`${at}/memory.limit_in_bytes`]: String(100 * MIB), [`${at}/memory.usage_in_bytes`]: String(300 * MIB), [`${at}/memory.stat`]: `total_inactive_file ${250 * MIB}\n` };
  machine(files, (root) => assert.equal(availableMemory(root, 'linux'), 50 * MIB));
  machine({ ...files, [`${at}/memory.stat`]: '' }, (root) => assert.equal(availableMemory(root, 'linux'), 0));
});

test('this machine has memory, on every platform', () => {
  assert.ok(availableMemory() > 0);
  assert.ok(availableMemory('/', 'darwin') > 0);
});

test('a model that does not fit is refused with its numbers; one byte decides', () => {
  const graph = { ...tinyGpt2Graph(), weightBytes: 3000 * MIB, foldedBytes: 200 * MIB, activationBytesPerToken: MIB };
  const need = memoryNeed(graph, 1024);
  assert.equal(need.total, need.weights + need.copies + need.activations);
  assert.equal(memoryNeed(graph, 1024, true).copies, need.copies + 3000 * MIB);
  checkMemory(graph, 1024, false, need.total);
  assert.throws(() => checkMemory(graph, 1024, false, need.total - 1), (error: unknown) => {
    assert.ok(error instanceof CheckpointError && error.code === 'out-of-memory');
    assert.match(error.detail, /needs 4320 MiB .*weights 3000 MiB.* 4320 MiB available/);
    return true;
  });
});
