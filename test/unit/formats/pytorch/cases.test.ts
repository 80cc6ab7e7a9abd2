// Every `pt-*` entry of the shared manifest, the wrong extensions, and the real files of others.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError, type ErrorCode } from '../../../../server/core/errors';
import { openModel } from '../../../../server/core/models/openModel';
import { countedAsParameters } from '../../../../server/core/models/counting';
import { inspectJson } from '../../../../server/rpc/verbs/inspect';
import { valuesOf } from '../values';

const shared = path.resolve(__dirname, '../../../../../shared'), casesFolder = path.join(shared, 'cases');
const present = existsSync(path.join(casesFolder, 'manifest.json'));
if (!present) console.log('SKIPPED: ../shared is not here, so no pt-* case and none of the real PyTorch files was tried');

type Value = number | boolean | string | null | readonly Value[];
interface TensorFacts { readonly dtype?: string; readonly shape?: readonly number[]; readonly params?: number; readonly zeros?: number; readonly first?: readonly Value[]; readonly last?: Value; readonly values?: readonly number[] }
interface Case {
  readonly id: string;
  readonly file: string;
  readonly expect: 'ok' | 'error';
  readonly facts: Readonly<Record<string, unknown>> & { readonly tensors?: Readonly<Record<string, TensorFacts>> };
}
const cases: readonly Case[] = present
  ? (JSON.parse(readFileSync(path.join(casesFolder, 'manifest.json'), 'utf8')) as { cases: Case[] }).cases.filter((one) => one.id.startsWith('pt-')) : [];

/** Code and key words of each refusal. */
const refusals: Readonly<Record<string, readonly [ErrorCode, ...RegExp[]]>> = {
  'pt-lfs-pointer-crlf': ['git-lfs-pointer', /548105171 bytes/],
  'pt-malicious': ['pickle-blocked', /os\.system/],
  'pt-malicious-legacy': ['pickle-blocked', /builtins\.exec/],
  'pt-missing-storage': ['storage-missing', /data\/7 is missing/],
  'pt-short-storage': ['storage-too-short', /storage 0 holds 40 bytes, tensor w needs 64/],
  'pt-tar': ['unsupported-format', /tar archive/, /save it again with a newer PyTorch/],
  'pt-torchscript': ['torchscript', /torch\.jit\.save/],
};

const refused = (file: string, [code, ...words]: readonly [ErrorCode, ...RegExp[]]): void => {
  assert.throws(() => openModel(file), (error) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.equal(error.code, code);
    for (const word of words) assert.match(error.detail, word);
    return true;
  });
};

describe('the hard PyTorch files', { skip: !present }, () => {
  test('each entry of the manifest is known to this table', () => {
    assert.ok(cases.length >= 18);
    for (const one of cases) assert.equal(one.expect === 'error', one.id in refusals, one.id);
  });

  for (const one of cases) {
    if (one.id in refusals) {
      test(`${one.id} is refused with ${refusals[one.id][0]}`, () => {
        refused(path.join(casesFolder, one.file), refusals[one.id]);
        assert.equal(existsSync('PWNED_BY_PICKLE.txt'), false, 'nothing of the pickle was run');
      });
      continue;
    }
    test(`${one.id} opens and its facts hold`, () => {
      const model = openModel(path.join(casesFolder, one.file)), { checkpoint } = model, json = inspectJson(model), { facts } = one;
      const special = (json.opaque ?? []).filter((entry) => entry.kind === 'sparse').length;
      const zeros = (name: string): number => valuesOf(checkpoint, name).filter((value) => value === 0).length;
      const sum = (pick: (i: number) => boolean): number => checkpoint.tensors.reduce((total, tensor, i) => total + (pick(i) ? tensor.elements : 0), 0);
      const counted = countedAsParameters(model), optimizer = (json.opaque ?? []).filter((entry) => entry.section === 'optimizer' && entry.shape !== undefined);
      const known: Readonly<Record<string, () => unknown>> = {
        tensor_count: () => json.tensorCount + special, param_count: () => sum(() => true), param_count_listed: () => sum(() => true), param_count_unique: () => sum((i) => counted[i]),
        data_bytes: () => json.bytes, zero_count: () => checkpoint.tensors.filter((tensor) => tensor.dtype !== 'C64').reduce((total, tensor) => total + zeros(tensor.name), 0),
        nan_count: () => checkpoint.tensors.flatMap((tensor) => valuesOf(checkpoint, tensor.name)).filter(Number.isNaN).length,
        inf_count: () => checkpoint.tensors.flatMap((tensor) => valuesOf(checkpoint, tensor.name)).filter((value) => Math.abs(value) === Infinity).length,
        model_tensor_count: () => json.tensorCount, model_param_count: () => sum(() => true), model_zero_count: () => checkpoint.tensors.reduce((total, tensor) => total + zeros(tensor.name), 0),
        optimizer_tensor_count: () => optimizer.length, optimizer_param_count: () => optimizer.reduce((total, entry) => total + entry.shape!.reduce((product, size) => product * size, 1), 0),
        values: () => valuesOf(checkpoint, checkpoint.tensors[0].name),
        storage_bytes: () => Math.max(...checkpoint.tensors.map((tensor) => tensor.to)) - Math.min(...checkpoint.tensors.map((tensor) => tensor.from)),
      };
      for (const [key, wanted] of Object.entries(facts)) if (key in known) assert.deepEqual(known[key](), wanted, key);
      for (const [name, wanted] of [...Object.entries(facts.tensors ?? {}), ...Object.entries(facts).filter(([key]) => key.endsWith('.weight'))] as [string, TensorFacts & { stored?: number }][]) {
        const tensor = checkpoint.tensors.find((item) => item.name === name);
        if (!tensor) {
          const shown = json.opaque?.find((entry) => entry.name === name);
          assert.deepEqual(shown?.shape, wanted.shape, name);
          assert.match(shown?.detail ?? '', new RegExp(`${wanted.stored} values`));
          continue;
        }
        if (wanted.dtype !== undefined) assert.deepEqual([tensor.dtype, tensor.shape, tensor.elements], [wanted.dtype, wanted.shape, wanted.params], name);
        const values = valuesOf(checkpoint, name), flat = (value: Value | undefined): Value[] => (Array.isArray(value) ? (value as Value[]).flatMap(flat) : [Number(value)]);
        if (wanted.values) assert.deepEqual(values, wanted.values);
        if (wanted.first) { const first = flat(wanted.first); assert.deepEqual(values.slice(0, first.length), first, name); }
        if (wanted.last !== undefined && wanted.last !== null) { const last = flat(wanted.last); assert.deepEqual(values.slice(-last.length), last, name); }
        if (wanted.zeros !== undefined && tensor.dtype !== 'C64') assert.equal(zeros(name), wanted.zeros, name);
      }
    });
  }

  test('content decides, not the name', () => {
    const folder = path.join(casesFolder, 'wrong-extension');
    for (const [name, format] of [['really-safetensors.bin', 'safetensors'], ['really-pytorch-zip.safetensors', 'pytorch'], ['model_best.pth.tar', 'pytorch'], ['sha256-really-gguf', 'gguf']]) {
      const { checkpoint } = openModel(path.join(folder, name));
      assert.equal(checkpoint.format, format, name);
      assert.deepEqual(checkpoint.tensors.map((tensor) => [tensor.name, tensor.shape]), [['w', [4, 4]]], name);
    }
  });
});

describe('real PyTorch files', { skip: !present }, () => {
  const rows: [string, number, number][] = [
    ['files/legacy-pth/pnet.pt', 13, 6632], ['files/legacy-pth/rnet.pt', 16, 100178], ['files/legacy-pth/lpips-v0.0/alex.pth', 5, 1152], ['files/legacy-pth/lpips-v0.0/vgg.pth', 5, 1472],
    ['files/legacy-pth/lpips-v0.0/squeeze.pth', 7, 2240], ['models/albert-mlm-legacy-bin', 32, 0], ['models/tiny-deberta-v2', 79, 0], ['models/tiny-deberta-v2/pytorch_model.bin', 79, 0],
  ];
  for (const [file, tensors, elements] of rows) {
    test(`${file} opens with its ${tensors} tensors`, () => {
      const { checkpoint } = openModel(path.join(shared, file));
      assert.deepEqual([checkpoint.format, checkpoint.tensors.length], ['pytorch', tensors]);
      if (elements > 0) assert.equal(checkpoint.tensors.reduce((sum, tensor) => sum + tensor.elements, 0), elements);
      for (const tensor of checkpoint.tensors) assert.ok(valuesOf(checkpoint, tensor.name).every((value) => Math.abs(value) < 1000), tensor.name);
    });
  }

  test('ALBERT counts its tied head once, and the arguments beside it are not called a stray', () => {
    const { architecture, tied, problems } = openModel(path.join(shared, 'models/albert-mlm-legacy-bin'));
    assert.equal(architecture?.id, 'albert');
    assert.deepEqual(tied, [['albert.embeddings.word_embeddings.weight', 'predictions.decoder.weight'], ['predictions.bias', 'predictions.decoder.bias']]);
    assert.deepEqual(problems.map((problem) => problem.code), []);
  });

  test('the arguments of a trainer are named as what they are', () => refused(path.join(shared, 'models/albert-mlm-legacy-bin/training_args.bin'), ['no-tensors', /argparse\.Namespace/]));

  test('every pointer is a pointer', () => {
    const folder = path.join(shared, 'files/lfs-pointers'), names = readdirSync(folder);
    assert.ok(names.length >= 4);
    for (const name of names) refused(path.join(folder, name), ['git-lfs-pointer', /the real file has \d+ bytes/]);
  });

  test('an index without its shards names them', () => {
    for (const name of readdirSync(path.join(shared, 'files/index-files'))) refused(path.join(shared, 'files/index-files', name), ['shard-missing', /pytorch_model-00001-of-000\d\d\.bin/]);
  });
});
