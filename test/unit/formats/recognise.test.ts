import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { readFileHead } from '../../../server/core/formats/fileHead';
import { recognise } from '../../../server/core/formats/recognise';
import { failsWith, rawFile, scratch, sketch, soundFile } from './build';

const room = scratch();
after(room.close);
const format = (name: string, content: string | Uint8Array): string => recognise(readFileHead(room.write(name, content))).id;

const tar = Buffer.alloc(600);
tar.write('ustar', 257);
const pointer = (end: string): string => ['version https://git-lfs.github.com/spec/v1', `oid sha256:${'0'.repeat(64)}`, 'size 6431878936', ''].join(end);

test('what is no safetensors file is named by its content, whatever its name', () => {
  const wrong: readonly [string, string | Uint8Array, Parameters<typeof failsWith>][] = [
    ['pointer', pointer('\n'), ['git-lfs-pointer', '6431878936']],
    ['pointer of Windows', pointer('\r\n'), ['git-lfs-pointer', '6431878936']],
    ['login page', '\n <HTML><head><title> Sign in </title>', ['html-page', 'Sign in']],
    ['page with a byte order mark', '\ufeff<!doctype HTML>', ['html-page']],
    ['tar', tar, ['unsupported-format', 'tar']],
    ['HDF5', Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), ['unsupported-format', 'HDF5']],
    ['NumPy', Buffer.from('\x93NUMPY\x01\0', 'latin1'), ['unsupported-format', 'NumPy']],
    ['zstd', Buffer.from('\x28\xb5\x2f\xfd', 'latin1'), ['unsupported-format', 'zstd']],
    ['Flax', Buffer.concat([Buffer.from([0x81, 0xa6]), Buffer.from('params'), Buffer.from([0x82])]), ['unsupported-format', 'from_flax']],
    ['TensorFlow Lite', Buffer.from('\x1c\0\0\0TFL3\0\0', 'latin1'), ['unsupported-format', 'Lite']],
    ['TensorRT', 'ftrt\0\0\0\0', ['unsupported-format', 'TensorRT']],
    ['ONNX Runtime', Buffer.from('\x18\0\0\0ORTM\0', 'latin1'), ['unsupported-format', 'ONNX Runtime']],
    ['gzip', Buffer.from('\x1f\x8b\x08', 'latin1'), ['unsupported-format', 'gzip']],
    ['a link copied as text', '../../blobs/0123abc', ['wrong-content', '../../blobs/0123abc']],
  ];
  for (const [title, content, expected] of wrong) {
    for (const name of ['model.safetensors', 'noname']) assert.throws(() => format(name, content), failsWith(...expected), `${title} as ${name}`);
  }
});

test('what has no magic is named by its name', () => {
  for (const [name, word] of [['variables.data-00000-of-00001', /TensorFlow checkpoint/], ['model.ckpt-1000.index', /TensorFlow checkpoint/], ['saved_model.pb', /SavedModel/], ['x.mlmodel', /Core ML/]] as const) {
    assert.throws(() => format(name, Buffer.from([0, 1, 2, 3, 250])), failsWith('unsupported-format', word), name);
  }
  assert.throws(() => format('config.json', '{"a": 1}'), failsWith('unsupported-format', 'JSON'));
});

test('safetensors under any name is safetensors; a name alone is enough for a broken one', () => {
  const sound = soundFile([sketch('w', [2, 2])]);
  for (const name of ['model.bin', 'a1b2c3', 'x.gguf', 'MODEL.SAFETENSORS']) assert.equal(format(name, sound), 'safetensors', name);
  assert.equal(format('broken.safetensors', 'nothing of the kind'), 'safetensors');
  assert.throws(() => format('broken.txt', 'nothing of the kind'), failsWith('unknown-format', 'nothing of the'));
});

test('a header length that reads like another magic is still a header length', () => {
  // 0x0280 = 640 begins like a pickle, 0x8b1f like gzip.
  for (const length of [0x0280, 0x8b1f]) assert.equal(format('x.bin', rawFile(`{}${' '.repeat(length - 2)}`)), 'safetensors');
});

const pointers = path.resolve(__dirname, '../../../../shared/files/lfs-pointers');
if (!existsSync(pointers)) console.log('SKIPPED: ../shared/files is not here, so no real pointer was read');

test('real pointers are recognised under every extension', { skip: !existsSync(pointers) }, () => {
  for (const name of readdirSync(pointers)) assert.throws(() => recognise(readFileHead(path.join(pointers, name))), failsWith('git-lfs-pointer', /the real file has \d{9,} bytes/), name);
});
