// Every `st-*` entry of the shared manifest, through openModel and the inspect verb, as the entry says.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { openSource } from '../../../server/core/bytes/openSource';
import { CheckpointError, type ErrorCode } from '../../../server/core/errors';
import type { Checkpoint } from '../../../server/core/formats/contract';
import { openModel } from '../../../server/core/models/openModel';
import type { DType } from '../../../server/core/tensor/dtype';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { inspectJson } from '../../../server/rpc/verbs/inspect';
import { scratch } from './build';

const casesFolder = path.resolve(__dirname, '../../../../shared/cases');
const present = existsSync(path.join(casesFolder, 'manifest.json'));
if (!present) console.log('SKIPPED: ../shared/cases is not here, so no st-* case was tried');

type Value = number | boolean | string | null | readonly Value[];
interface TensorFacts { readonly dtype: string; readonly shape: readonly number[]; readonly params: number; readonly first: readonly Value[]; readonly last: Value }
interface Case {
  readonly id: string;
  readonly file: string;
  readonly expect: 'ok' | 'error';
  readonly facts: { readonly tensor_count?: number; readonly param_count?: number; readonly data_bytes?: number; readonly tensors?: Readonly<Record<string, TensorFacts>> };
}
const cases: readonly Case[] = present
  ? (JSON.parse(readFileSync(path.join(casesFolder, 'manifest.json'), 'utf8')) as { cases: Case[] }).cases.filter((one) => one.id.startsWith('st-'))
  : [];

/** Code and key words of each refusal; `ok` where the entry's alternative answer is ours. */
const refusals: Readonly<Record<string, readonly [ErrorCode, ...RegExp[]] | { readonly remark: ErrorCode; readonly says: RegExp }>> = {
  'st-lfs-pointer': ['git-lfs-pointer', /548105171 bytes/],
  'st-html-page': ['html-page', /403/],
  'st-empty': ['is-empty', /0 bytes/],
  'st-five-bytes': ['header-too-short', /5 bytes/, /8/],
  'st-truncated-data': ['file-cut-short', /promises 696 bytes, 596 are there/, /2 of 3 tensors are complete/, /missing: model\.layers\.2/],
  'st-truncated-header': ['header-cut-short', /52 of them/],
  'st-header-len-huge': ['header-longer-than-file', /15 bytes/],
  'st-header-array': ['header-not-object', /list/],
  'st-duplicate-key': ['duplicate-tensor', /\bw\b/],
  'st-overlap': ['overlap', /v_proj\.weight/, /overlap k_proj\.weight/, /16 to 48/],
  'st-gap': ['gap', /bytes 16 to 32 of the data/],
  'st-trailing': ['trailing-bytes', /22 bytes after the last tensor/],
  'st-offset-past-end': ['file-cut-short', /b ends at byte 1016 of the data but there are 32/],
  'st-offset-reversed': ['offset-reversed', /begins at 16 and ends at 0/],
  'st-size-mismatch': ['size-mismatch', /needs 4000000 bytes but has 64/],
  'st-unknown-dtype': ['unknown-dtype', /F99/, /\ba\b/],
  'st-index-missing-shard': ['shard-missing', /model-00002-of-00003\.safetensors/, /2 of 3/],
  'st-index-traversal': ['shard-outside-folder', /\.\.\/st-index-traversal-target/],
  'st-metadata-int': { remark: 'metadata-not-text', says: /epoch, lr/ },
};
/** Remarks that an entry asks for although the file opens. */
const remarks: Readonly<Record<string, ErrorCode>> = {
  'st-header-space-first': 'header-space-first', 'st-index-tensor-in-two-shards': 'stray-copy', 'st-index-lying-metadata': 'index-total-wrong', 'st-stray-consolidated': 'stray-file',
};

const room = scratch();
after(room.close);

/** A copy of the cache whose links are links again: the shared folder may have been copied without them. */
function withLinks(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const source = path.join(from, name), target = path.join(to, name);
    const kind = lstatSync(source);
    if (kind.isDirectory()) withLinks(source, target);
    else if (kind.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else {
      const content = readFileSync(source), text = content.toString('latin1');
      if (/^\.\.\/[\w./]+$/.test(text)) symlinkSync(text, target);
      else writeFileSync(target, content);
    }
  }
}

function place(one: Case): string {
  if (one.id !== 'st-hf-cache') return path.join(casesFolder, one.file);
  if (!existsSync(path.join(room.folder, 'st-hf-cache'))) withLinks(path.join(casesFolder, 'st-hf-cache'), path.join(room.folder, 'st-hf-cache'));
  return path.join(room.folder, one.file);
}

describe('the hard safetensors files', () => {
  test('each entry of the manifest is known to this table', { skip: !present }, () => {
    assert.ok(cases.length >= 34);
    for (const one of cases) assert.equal(one.expect === 'error', one.id in refusals, one.id);
  });

  for (const one of cases) {
    const refusal = refusals[one.id];
    if (Array.isArray(refusal)) {
      const [code, ...words] = refusal as readonly [ErrorCode, ...RegExp[]];
      test(`${one.id} is refused with ${code}`, () => {
        assert.throws(() => openModel(place(one)), (error) => {
          assert.ok(error instanceof CheckpointError, String(error));
          assert.equal(error.code, code);
          const said = `${error.detail} ${error.where.tensor ?? ''} ${error.where.key ?? ''}`;
          for (const word of words) assert.match(said, word);
          return true;
        });
      });
      continue;
    }
    test(`${one.id} opens and its facts hold`, () => {
      const model = openModel(place(one)), { checkpoint } = model, json = inspectJson(model);
      const facts = one.facts;
      if (facts.tensor_count !== undefined) assert.equal(json.tensorCount, facts.tensor_count);
      if (facts.param_count !== undefined) assert.equal(json.tensors.reduce((sum, tensor) => sum + tensor.parameters, 0), facts.param_count);
      if (facts.data_bytes !== undefined) assert.equal(json.bytes, facts.data_bytes);
      for (const [name, wanted] of Object.entries(facts.tensors ?? {})) {
        const tensor = checkpoint.tensors.find((item) => item.name === name || (name.includes('...(5000 chars)') && item.name === 'x'.repeat(5000)));
        assert.ok(tensor, `tensor ${name}`);
        assert.deepEqual([tensor.dtype, tensor.shape, tensor.elements], [wanted.dtype, wanted.shape, wanted.params], name);
        const values = valuesOf(checkpoint, tensor);
        if (values === null) continue;
        assert.deepEqual(values.slice(0, 4).map(spelled), wanted.first, name);
        if (wanted.params > 0) assert.deepEqual(spelled(values[values.length - 1]), wanted.last, name);
      }
      const asked = refusal && 'remark' in refusal ? refusal.remark : remarks[one.id];
      const found = model.problems.filter((problem) => problem.code !== 'unknown-architecture' && problem.code !== 'buffer-stored');
      assert.deepEqual(found.map((problem) => problem.code), asked ? [asked] : []);
      if (refusal && 'remark' in refusal) assert.match(found[0].detail, refusal.says);
    });
  }

  test('an index that leads outside is refused before any shard is looked for', () => {
    const index = room.write('inside/model.safetensors.index.json', JSON.stringify({ weight_map: { w: '../gone.safetensors', x: 'gone.safetensors' } }));
    assert.throws(() => openModel(index), (error) => error instanceof CheckpointError && error.code === 'shard-outside-folder');
  });

  test('any file of a set finds the whole set', { skip: !present }, () => {
    const folder = path.join(casesFolder, 'st-index-lying-metadata');
    const whole = openModel(folder).checkpoint;
    for (const name of readdirSync(folder)) {
      const { files, tensors, index } = openModel(path.join(folder, name)).checkpoint;
      assert.deepEqual({ files, tensors, index }, { files: whole.files, tensors: whole.tensors, index: whole.index }, name);
    }
  });

  test('a cached file keeps the name of its link and is read where the link leads', { skip: !present }, () => {
    const { checkpoint } = openModel(place(cases.find((one) => one.id === 'st-hf-cache') as Case));
    assert.match(checkpoint.files[0].path, /snapshots.*model\.safetensors$/);
    assert.match(checkpoint.files[0].realPath, /blobs.b1b1/);
    assert.equal(checkpoint.name, 'tiny');
    assert.ok(checkpoint.config, 'the config beside the link is found');
  });
});

/** As the manifest spells values that JSON has not. */
const spelled = (value: number | boolean): Value => (typeof value === 'number' && !Number.isFinite(value) ? String(value).replace('Infinity', 'inf').toLowerCase() : value);

/** All values, read plainly through both kinds of source; null for types that this test does not decode. */
function valuesOf(checkpoint: Checkpoint, tensor: TensorInfo): (number | boolean)[] | null {
  const bytes = new Uint8Array(tensor.to - tensor.from), again = new Uint8Array(bytes.length);
  for (const [io, into] of [['pread', bytes], ['mmap', again]] as const) {
    const source = openSource(checkpoint.files[tensor.file], io);
    source.read(tensor.from, tensor.to, into);
    source.close();
  }
  assert.deepEqual(bytes, again);
  const view = new DataView(bytes.buffer);
  const decode = decoders[tensor.dtype];
  return decode ? Array.from({ length: tensor.elements }, (_, i) => decode(view, i * (bytes.length / tensor.elements))) : null;
}

const decoders: Partial<Record<DType, (view: DataView, at: number) => number | boolean>> = {
  BOOL: (view, at) => view.getUint8(at) !== 0,
  U8: (view, at) => view.getUint8(at),
  I8: (view, at) => view.getInt8(at),
  I16: (view, at) => view.getInt16(at, true),
  U16: (view, at) => view.getUint16(at, true),
  I32: (view, at) => view.getInt32(at, true),
  U32: (view, at) => view.getUint32(at, true),
  F32: (view, at) => view.getFloat32(at, true),
  F64: (view, at) => view.getFloat64(at, true),
  BF16: (view, at) => {
    const wide = new DataView(new ArrayBuffer(4));
    wide.setUint16(2, view.getUint16(at, true), true);
    return wide.getFloat32(0, true);
  },
};
