import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { CheckpointError } from '../../../server/core/errors';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { failsWith, scratch, sketch, soundFile } from './build';

const INDEX = 'model.safetensors.index.json';
const indexOf = (map: Record<string, string>, metadata?: unknown): string => JSON.stringify({ ...(metadata === undefined ? {} : { metadata }), weight_map: map });

/** Runs `use` in a folder with the given files. */
function inFolder(files: Readonly<Record<string, string | Uint8Array>>, use: (folder: string) => void): void {
  const room = scratch();
  try {
    for (const [name, content] of Object.entries(files)) room.write(name, content);
    use(room.folder);
  } finally {
    room.close();
  }
}
const a = sketch('a', [2, 3]), b = sketch('b', [4]), c = sketch('c', [1, 2]);
const names = (where: string): string[] => openCheckpoint(where).tensors.map((tensor) => tensor.name);
const codes = (where: string): string[] => openCheckpoint(where).problems.map((problem) => problem.code);

describe('sets of shards', () => {
  test('the folder, the index and each shard open the same checkpoint', () => {
    inFolder({ 'model-00001-of-00002.safetensors': soundFile([a]), 'model-00002-of-00002.safetensors': soundFile([b, c]), [INDEX]: indexOf({ a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors', c: 'model-00002-of-00002.safetensors' }, { total_size: 48 }) }, (folder) => {
      const whole = openCheckpoint(folder);
      assert.deepEqual(whole.tensors.map(({ name, file }) => [name, file]), [['a', 0], ['b', 1], ['c', 1]]);
      assert.deepEqual(whole.problems, []);
      for (const name of [INDEX, 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']) {
        const part = openCheckpoint(path.join(folder, name));
        assert.deepEqual([part.tensors, part.files, part.index, part.name, part.folder], [whole.tensors, whole.files, whole.index, whole.name, whole.folder]);
      }
    });
  });

  test('a numbered set without an index is found by its numbers, and has to be whole', () => {
    const set = { 'm-00001-of-00003.safetensors': soundFile([a]), 'm-00002-of-00003.safetensors': soundFile([b]), 'm-00003-of-00003.safetensors': soundFile([c]) };
    inFolder(set, (folder) => {
      assert.deepEqual(names(folder), ['a', 'b', 'c']);
      assert.deepEqual(names(path.join(folder, 'm-00002-of-00003.safetensors')), ['a', 'b', 'c']);
    });
    const { 'm-00002-of-00003.safetensors': _gone, ...rest } = set;
    inFolder(rest, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('shard-missing', 'm-00002-of-00003.safetensors', '2 of 3')));
    inFolder({ ...set, 'm-00003-of-00003.safetensors': soundFile([a]) }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('duplicate-tensor', 'a', 'm-00001-of-00003')));
    inFolder({ 'm-00001-of-999999999.safetensors': soundFile([a]) }, (folder) => assert.throws(() => openCheckpoint(path.join(folder, 'm-00001-of-999999999.safetensors')), failsWith('too-many-shards')));
  });

  test('an index that points outside its folder is refused, however it says so', () => {
    for (const shard of ['../x.safetensors', '/etc/passwd', 'C:\\x.safetensors', '..\\x.safetensors', 'sub/../../x.safetensors', '\\\\host\\x', 'x:stream', 'a\0b', 'sub//x']) {
      inFolder({ [INDEX]: indexOf({ a: shard }) }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('shard-outside-folder'), shard));
    }
  });

  test('a shard in a subfolder, or one that is a link to elsewhere, is inside', () => {
    inFolder({ 'sub/x.safetensors': soundFile([a]), 'blobs/0abc': soundFile([b]), [INDEX]: indexOf({ a: 'sub/x.safetensors', b: 'y.safetensors' }) }, (folder) => {
      symlinkSync(path.join('blobs', '0abc'), path.join(folder, 'y.safetensors'));
      assert.deepEqual(names(folder), ['a', 'b']);
      assert.equal(openCheckpoint(folder).files[1].realPath, path.join(folder, 'blobs', '0abc'));
    });
  });

  test('a broken index says what is wrong with it', () => {
    const wrong: readonly [string, string, Parameters<typeof failsWith>][] = [
      ['no JSON', '{"weight_map": {', ['index-not-json', 'character']],
      ['a list', '[]', ['index-bad-map', 'weight_map']],
      ['no map', '{}', ['index-bad-map', 'weight_map']],
      ['a map of numbers', '{"weight_map": {"a": 3}}', ['index-bad-map', 'a']],
      ['a tensor twice', '{"weight_map": {"a": "x", "a": "y"}}', ['index-bad-map', 'twice', 'a']],
      ['a pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n', ['git-lfs-pointer']],
    ];
    for (const [title, text, expected] of wrong) inFolder({ [INDEX]: text }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith(...expected), title));
  });

  test('a tensor that its shard does not hold is an error; one that the index forgot counts and is remarked on', () => {
    inFolder({ 'x.safetensors': soundFile([a]), [INDEX]: indexOf({ a: 'x.safetensors', b: 'x.safetensors' }) }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('tensor-missing-in-shard', 'b', 'x.safetensors')));
    inFolder({ 'x.safetensors': soundFile([a, b]), [INDEX]: indexOf({ a: 'x.safetensors' }) }, (folder) => {
      assert.deepEqual(names(folder), ['a', 'b']);
      assert.deepEqual(codes(folder), ['index-bad-map']);
    });
  });

  test('a copy in another shard is not counted, and extra files are mentioned', () => {
    inFolder({ 'x.safetensors': soundFile([a, b]), 'y.safetensors': soundFile([{ ...b, data: new Uint8Array(b.data.length) }]), 'z.safetensors': soundFile([c]), [INDEX]: indexOf({ a: 'x.safetensors', b: 'y.safetensors' }) }, (folder) => {
      const { tensors, problems } = openCheckpoint(folder);
      assert.deepEqual(tensors.map(({ name, file }) => [name, file]), [['a', 0], ['b', 1]]);
      assert.deepEqual(problems.map(({ code, where }) => [code, path.basename(where.file ?? ''), where.tensor]), [['stray-copy', 'x.safetensors', 'b'], ['stray-file', 'z.safetensors', undefined]]);
    });
  });

  test('a shard that is something else says which shard and what it is', () => {
    inFolder({ 'x.safetensors': soundFile([a]), 'y.safetensors': 'PK\x03\x04 and so on', [INDEX]: indexOf({ a: 'x.safetensors', b: 'y.safetensors' }) }, (folder) => {
      assert.throws(() => openCheckpoint(folder), (error) => failsWith('wrong-content', 'PyTorch')(error) && (error as CheckpointError).where.file === path.join(folder, 'y.safetensors'));
    });
  });

  test('a broken index stops a shard, and is a remark beside a file that stands alone', () => {
    inFolder({ 'x-00001-of-00002.safetensors': soundFile([a]), [INDEX]: '{' }, (folder) => assert.throws(() => openCheckpoint(path.join(folder, 'x-00001-of-00002.safetensors')), failsWith('index-not-json')));
    inFolder({ 'x.safetensors': soundFile([a]), [INDEX]: '{' }, (folder) => assert.deepEqual(codes(path.join(folder, 'x.safetensors')), ['index-not-json']));
  });
});

describe('folders', () => {
  test('a folder without a model says so in one sentence and looks into no subfolder', () => {
    inFolder({ 'sub/model.safetensors': soundFile([a]), 'readme.md': '#' }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('no-model-in-folder', 'no weight file')));
    inFolder({ 'flax_model.msgpack': 'x', 'tf_model.h5': 'x' }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('no-model-in-folder', 'flax_model.msgpack')));
  });

  test('the single file goes before the index, one oddly named file is found, two are not guessed between', () => {
    inFolder({ 'model.safetensors': soundFile([a]), 'x.safetensors': soundFile([b]), [INDEX]: indexOf({ b: 'x.safetensors' }) }, (folder) => {
      assert.deepEqual(names(folder), ['a']);
      assert.deepEqual(codes(folder), ['stray-file']);
    });
    inFolder({ 'weights of mine.safetensors': soundFile([a]) }, (folder) => assert.deepEqual(names(folder), ['a']));
    inFolder({ 'one.safetensors': soundFile([a]), 'two.safetensors': soundFile([b]) }, (folder) => assert.throws(() => openCheckpoint(folder), failsWith('several-models-in-folder', 'one.safetensors, two.safetensors')));
  });

  test('a broken config is a remark; Python\'s NaN in one is not', () => {
    for (const [text, config, problems] of [['{', null, ['config-not-json']], ['[1]', null, ['config-not-json']], ['{"x": NaN, "s": "NaN \\" Infinity", "y": -Infinity}', { x: null, s: 'NaN " Infinity', y: null }, []], ['\ufeff{"model_type":"gpt2"}', { model_type: 'gpt2' }, []]] as const) {
      inFolder({ 'model.safetensors': soundFile([a]), 'config.json': text }, (folder) => {
        const checkpoint = openCheckpoint(folder);
        assert.deepEqual([checkpoint.config, checkpoint.problems.map((problem) => problem.code)], [config, problems], text);
      });
    }
  });

  test('what is not there is not-found; a pipe or device never hangs', () => {
    inFolder({}, (folder) => assert.throws(() => openCheckpoint(path.join(folder, 'gone')), failsWith('not-found')));
    if (process.platform !== 'win32') assert.throws(() => openCheckpoint('/dev/zero'), failsWith('not-readable'));
  });

  test('a checkpoint is named after its folder when its file name says nothing', () => {
    inFolder({ 'tiny/model.safetensors': soundFile([a]), 'tiny/own.safetensors': soundFile([a]), 'models--org--tiny-one/snapshots/0123/model.safetensors': soundFile([a]) }, (folder) => {
      const named = (where: string): string => openCheckpoint(path.join(folder, where)).name;
      assert.equal(named('tiny'), 'tiny');
      assert.equal(named('tiny/model.safetensors'), 'tiny');
      assert.equal(named('tiny/own.safetensors'), 'own');
      assert.equal(named('models--org--tiny-one/snapshots/0123/model.safetensors'), 'tiny-one');
    });
  });
});
