import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { DType } from '../../../server/core/tensor/dtype';
import { layOutFile } from '../../../server/core/formats/writeSafetensors';
import { decodeInto, partsOf } from '../../../server/core/tensor/decode';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { runShell } from '../../../server/rpc/shell';

/** A folder of this test file's own, removed at the end. Links resolved, so that paths compare. */
export function scratch(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `winnow-${name}-`));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs one command line in this process, with --json. One worker: the files are small, and starting one takes longest. */
export async function winnow(words: readonly string[], cwd = '/', signal = new AbortController().signal): Promise<{ code: number; json: unknown; err: string }> {
  let out = '', err = '';
  const code = await runShell([...words, '--threads', '1', '--json'], {
    cwd, environment: {}, signal,
    stdout: { write: (text, done) => { out += text; setImmediate(done, null); } }, stderr: { write: (text) => { err += text; } },
  });
  return { code, json: out === '' ? null : JSON.parse(out), err };
}

export interface Made { readonly name: string; readonly dtype: DType; readonly shape: readonly number[]; readonly bytes: Uint8Array }

export const f32 = (name: string, shape: readonly number[], values: ArrayLike<number>): Made =>
  ({ name, dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) });

/** Writes a safetensors file. */
export function writeFixture(file: string, tensors: readonly Made[], metadata: Record<string, string> | null = { format: 'pt' }): void {
  const layout = layOutFile(tensors, metadata, file);
  writeFileSync(file, Buffer.concat([layout.head, ...tensors.map(({ bytes }) => bytes)]));
}

/** Copies a file or folder of cases so that it can be written to. */
export function writableCopy(from: string, to: string): string {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  if (statSync(to).isFile()) { chmodSync(to, 0o600); return to; }
  const open = (at: string): void => {
    chmodSync(at, statSync(at).mode | 0o700);
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.isDirectory()) open(path.join(at, entry.name));
      else if (entry.isFile()) chmodSync(path.join(at, entry.name), 0o600);
    }
  };
  open(to);
  return to;
}

export const sha = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Everything in a folder, with what it holds: to say that nothing was left or changed. */
export function snapshot(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => [path.relative(folder, file), kindOf(file)] as const).sort());
}

function kindOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 'dangling link' : stat.isDirectory() ? 'folder' : sha(file);
}

/** All values of a checkpoint, by name. */
export function valuesOf(file: string): Map<string, Float64Array> {
  const checkpoint = openCheckpoint(file);
  return new Map(checkpoint.tensors.map((info) => {
    const values = new Float64Array(info.elements * partsOf(info.dtype));
    decodeInto(info.dtype, Uint8Array.from(readFileSync(checkpoint.files[info.file].path).subarray(info.from, info.to)), info.elements, values);
    return [info.name, values];
  }));
}

export const zerosIn = (values: Iterable<number>): number => [...values].filter((x) => x === 0).length;
