// Every `gguf-*` entry of the shared manifest and every GGUF of ../shared/files, as the entries say.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openTensor } from '../../../../server/core/bytes/decodedSource';
import { CheckpointError, type ErrorCode } from '../../../../server/core/errors';
import type { Checkpoint } from '../../../../server/core/formats/contract';
import { VERSION_KEY } from '../../../../server/core/formats/gguf/header';
import { openCheckpoint } from '../../../../server/core/formats/openCheckpoint';
import { openModel } from '../../../../server/core/models/openModel';
import { decodeInto } from '../../../../server/core/tensor/decode';
import { valueBytes, type TensorInfo } from '../../../../server/core/tensor/tensorInfo';
import { sentenceOf } from '../../../../server/rpc/sentences';

const shared = path.resolve(__dirname, '../../../../../shared'), casesFolder = path.join(shared, 'cases');
const present = existsSync(path.join(casesFolder, 'manifest.json'));
if (!present) console.error('SKIPPED: ../shared/cases is not here, so no gguf-* case was tried');

interface Facts {
  readonly version?: number; readonly tensor_count?: number; readonly param_count?: number; readonly zero_count?: number; readonly kv_count?: number; readonly architecture?: string;
  readonly bytes_per_tensor?: Readonly<Record<string, number>>; readonly torch_shapes?: Readonly<Record<string, readonly number[]>>; readonly zeros?: Readonly<Record<string, number>>; readonly first?: Readonly<Record<string, number>>;
}
interface Case { readonly id: string; readonly file: string; readonly expect: 'ok' | 'error'; readonly alt: string | null; readonly facts: Facts }
const cases = present ? (JSON.parse(readFileSync(path.join(casesFolder, 'manifest.json'), 'utf8')) as { cases: Case[] }).cases.filter((one) => one.id.startsWith('gguf-')) : [];

/** Code and key words of each refusal. Version 1 is read: the entry's alternative answer. */
const refusals: Readonly<Record<string, readonly [ErrorCode, ...RegExp[]]>> = {
  'gguf-ggjt': ['unsupported-format', /GGML/i],
  'gguf-align-0': ['metadata-broken', /general\.alignment is 0/],
  'gguf-string-len': ['header-cut-short', /length of .* runs past the end/],
  'gguf-ndims': ['bad-shape', /1000000 dimensions/],
  'gguf-split-missing': ['shard-missing', /tiny-00002-of-00003\.gguf/],
  'gguf-q4k-row': ['bad-shape', /row of 128 is not a multiple of the Q4_K block of 256/],
  'gguf-truncated': ['file-cut-short', /ends inside tensor c\.weight/, /368/, /348/],
};

const valuesOf = (checkpoint: Checkpoint, tensor: TensorInfo): Float64Array => {
  const source = openTensor(checkpoint.files[tensor.file], tensor, 'pread'), bytes = new Uint8Array(valueBytes(tensor)), out = new Float64Array(tensor.elements);
  source.read(0, bytes.length, bytes);
  source.close();
  decodeInto(tensor.dtype, bytes, tensor.elements, out);
  return out;
};
const storedName = (tensor: TensorInfo): string => tensor.storedName ?? tensor.name;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

for (const { id, file, expect, alt, facts } of cases) {
  test(`${id} behaves as the manifest says`, () => {
    const given = path.join(casesFolder, file), refusal = refusals[id];
    if (refusal) {
      assert.equal(expect, 'error');
      assert.throws(() => openCheckpoint(given), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.equal(error.code, refusal[0]);
        for (const word of refusal.slice(1) as RegExp[]) assert.match(sentenceOf(error), word);
        return true;
      });
      return;
    }
    assert.ok(expect === 'ok' || (alt ?? '').startsWith('ok'), 'opens where it may');
    const { checkpoint } = openModel(given), { tensors } = checkpoint, named = new Map(tensors.map((tensor) => [storedName(tensor), tensor]));
    const count = (value: number): ((tensor: TensorInfo) => number) => (tensor) => valuesOf(checkpoint, tensor).filter((one) => one === value).length;
    if (facts.version !== undefined) assert.equal(checkpoint.files[0].metadata?.[VERSION_KEY], String(facts.version));
    if (facts.kv_count !== undefined) assert.equal(Object.keys(checkpoint.files[0].metadata ?? {}).length - 1, facts.kv_count);
    if (facts.tensor_count !== undefined) assert.equal(tensors.length, facts.tensor_count);
    if (facts.param_count !== undefined) assert.equal(sum(tensors.map(({ elements }) => elements)), facts.param_count);
    if (facts.zero_count !== undefined) assert.equal(sum(tensors.map(count(0))), facts.zero_count);
    if (facts.architecture !== undefined) assert.equal(checkpoint.config?.model_type, facts.architecture);
    for (const [name, bytes] of Object.entries(facts.bytes_per_tensor ?? {})) assert.equal(named.get(name)!.to - named.get(name)!.from, bytes, name);
    for (const [name, shape] of Object.entries(facts.torch_shapes ?? {})) assert.deepEqual(named.get(name)!.shape, shape, name);
    for (const [name, zeros] of Object.entries(facts.zeros ?? {})) assert.equal(count(0)(named.get(name)!), zeros, name);
    for (const [name, first] of Object.entries(facts.first ?? {})) assert.equal(valuesOf(checkpoint, named.get(name)!)[0], first, name);
  });
}

test('the GGUF files that other tools wrote open, or are refused for the right reason', { skip: !present }, () => {
  const at = (name: string): string => path.join(shared, 'files', name);
  for (const [name, type] of [['gguf-vocab/ggml-vocab-gpt-2.gguf', 'gpt2'], ['gguf-vocab/ggml-vocab-llama-spm.gguf', 'llama']] as const) {
    const { checkpoint, problems } = openModel(at(name));
    assert.equal(checkpoint.config?.model_type, type);
    assert.ok(checkpoint.tensors.length === 0 && problems.some(({ code }) => code === 'no-tensors'), name);
  }
  assert.equal(openModel(at('fixtures-weight-inspect/empty.gguf')).checkpoint.tensors.length, 0);
  // Its header promises tensors, and the file ends with the header.
  assert.throws(() => openModel(at('fixtures-weight-inspect/tiny.gguf')), (error) => error instanceof CheckpointError && error.code === 'file-cut-short');
});
