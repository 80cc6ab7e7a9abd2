import test from 'node:test';
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { JobStore } from '../../../server/rpc/jobs';
import { progressPath, readProgress, writeRun } from '../../../server/rpc/jobFiles';
import { isAlive, startStamp } from '../../../server/rpc/processIdentity';
import type { JobJson } from '../../../server/protocol/editor';

/** A CLI that does what its second argument says. Its last argument is the progress file. */
const CLI = `const { appendFileSync } = require('node:fs');
const [kind, checkpoint, mode] = process.argv.slice(2), file = process.argv[process.argv.length - 1];
const say = (line) => appendFileSync(file, JSON.stringify(line) + '\\n');
say({ stage: 'scanning', done: 1, total: 2, unit: 'bytes' });
if (mode === 'done') { say({ state: 'done', out: checkpoint + '-out', message: null }); process.exit(0); }
if (mode === 'usage') { console.error('winnow: usage: no such flag'); process.exit(2); }
if (mode === 'die') process.kill(process.pid, 'SIGKILL');
if (mode === 'polite') process.on('SIGINT', () => { say({ state: 'cancelled', out: null, message: null }); process.exit(130); });
if (mode === 'stubborn') process.on('SIGINT', () => {});
say({ stage: 'ready', done: 2, total: 2, unit: 'bytes' });
setInterval(() => {}, 1000);
`;

function workshop() {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow jobs é#'));
  const cli = path.join(folder, 'cli.js'), storage = path.join(folder, 'jobs'), listeners = new Set<(job: JobJson) => void>();
  writeFileSync(cli, CLI);
  const stores: JobStore[] = [];
  const open = (): JobStore => { const store = new JobStore({ folder: storage, cli, onChange: (job) => listeners.forEach((listener) => listener(job)), pollMs: 50, graceMs: 200 }); stores.push(store); return store; };
  const when = (store: JobStore, id: string, ready: (job: JobJson) => boolean) => new Promise<JobJson>((resolve) => {
    const keepAlive = setInterval(() => {}, 1000);
    const look = (): void => { const job = store.list().find((entry) => entry.id === id); if (job && ready(job)) { clearInterval(keepAlive); listeners.delete(look); resolve(job); } };
    listeners.add(look);
    look();
  });
  const close = (): void => {
    for (const store of stores) { for (const job of store.list()) if (job.state === 'running') try { process.kill(job.pid, 'SIGKILL'); } catch { /* gone */ } store.close(); }
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, storage, open, when, close };
}
const ended = (job: JobJson): boolean => job.state !== 'running';
const startJob = (store: JobStore, folder: string, mode: string): JobJson => store.start({ kind: 'prune', checkpoint: folder, args: ['prune', folder, mode], title: 'Prune m' });

// [what the process does, state, message]
const ends: [string, JobJson['state'], RegExp | null][] = [['done', 'done', null], ['usage', 'failed', /^usage: no such flag$/], ['die', 'lost', /SIGKILL/]];
for (const [mode, state, message] of ends) {
  test(`a job that goes the way of "${mode}" ends as ${state}`, async () => {
    const { folder, open, when, close } = workshop();
    try {
      const store = open();
      const job = await when(store, startJob(store, folder, mode).id, ended);
      assert.equal(job.state, state);
      assert.equal(job.out, state === 'done' ? `${folder}-out` : null);
      if (message) assert.match(job.message ?? '', message); else assert.equal(job.message, null);
      assert.equal(job.progress?.stage, 'scanning');
      assert.ok(job.endedMs !== null);
      store.dismiss(job.id);
      assert.deepEqual(store.list(), []);
    } finally { close(); }
  });
}

for (const mode of ['polite', 'stubborn']) {
  test(`cancelling a ${mode} job ends it as cancelled`, { skip: process.platform === 'win32' }, async () => {
    const { folder, open, when, close } = workshop();
    try {
      const store = open();
      const { id, pid } = startJob(store, folder, mode);
      await when(store, id, (job) => job.progress?.stage === 'ready');
      const stamp = startStamp(pid);
      assert.ok(stamp && isAlive(pid, stamp));
      assert.throws(() => store.dismiss(id), /cancel it first/);
      assert.equal(store.cancel(id).state, 'running');
      const job = await when(store, id, ended);
      assert.equal(job.state, 'cancelled');
      // Its last line comes before its exit: gone means gone a moment later, whatever has the pid then.
      for (let i = 0; i < 200 && isAlive(job.pid, stamp); i++) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(isAlive(job.pid, stamp), false);
    } finally { close(); }
  });
}

test('a job outlives its server: the next one finds it running and hears its end', async () => {
  const { folder, storage, open, when, close } = workshop();
  try {
    const first = open();
    const { id, pid } = startJob(first, folder, 'polite');
    await when(first, id, (job) => job.progress?.stage === 'ready');
    first.close();
    const second = open();
    const found = second.list().find((job) => job.id === id);
    assert.equal(found?.state, 'running');
    assert.equal(found?.pid, pid);
    appendFileSync(progressPath(storage, id), '{"stage":"writing","done":1,"total":null,"unit":"bytes"}\n{"half');
    assert.equal((await when(second, id, (job) => job.progress?.stage === 'writing')).state, 'running');
    process.kill(pid, 'SIGKILL');
    assert.equal((await when(second, id, ended)).state, 'lost');
  } finally { close(); }
});

test('another process with the pid of a dead job is not taken for it', { skip: process.platform === 'win32' }, async () => {
  const { storage, folder, open, close } = workshop();
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  try {
    open();
    const job: JobJson = { id: 'sweep-old-1', kind: 'sweep', title: 't', checkpoint: folder, args: [], pid: other.pid!, state: 'running', startedMs: 1, endedMs: null, progress: null, out: null, message: null };
    writeRun(storage, { job, stamp: 'another time', cancelledMs: null });
    writeFileSync(path.join(storage, 'broken-1.json'), '{"job":');
    writeFileSync(path.join(storage, 'evil-2.json'), '{"job":{"id":"../x","pid":1,"args":[]}}');
    const jobs = open().list();
    assert.deepEqual(jobs.map((entry) => [entry.id, entry.state]), [['sweep-old-1', 'lost']]);
    assert.ok(isAlive(other.pid!, startStamp(other.pid!)));
  } finally { other.kill('SIGKILL'); close(); }
});

test('what is no job is refused before anything starts', () => {
  const { folder, storage, open, close } = workshop();
  try {
    const store = open();
    for (const bad of [{ kind: 'rm' as 'prune', checkpoint: folder, args: ['prune'], title: '' }, { kind: 'prune' as const, checkpoint: folder, args: ['sweep', folder], title: '' }, { kind: 'prune' as const, checkpoint: 'relative', args: ['prune'], title: '' }, { kind: 'prune' as const, checkpoint: folder, args: ['prune', 'a\0b'], title: '' }]) assert.throws(() => store.start(bad), /not a job/);
    assert.throws(() => store.cancel('nope'), /no job/);
    assert.deepEqual(readdirSync(storage), []);
  } finally { close(); }
});

test('the last whole line of a long progress file counts', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-progress-'));
  try {
    writeFileSync(progressPath(folder, 'x-1'), `${Array.from({ length: 5000 }, (_, i) => JSON.stringify({ stage: 's', done: i, total: 5000, unit: 'bytes' })).join('\n')}\n{"stage":"s","done":5000`);
    assert.equal(readProgress(folder, 'x-1').progress?.done, 4999);
    assert.equal(readProgress(folder, 'none-1').progress, null);
    assert.ok(readFileSync(progressPath(folder, 'x-1')).length > 100_000);
  } finally { rmSync(folder, { recursive: true }); }
});
