import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError } from '../../../server/core/errors';
import type { FileHeader } from '../../../server/core/formats/contract';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { safetensors } from '../../../server/core/formats/safetensors';
import { failsWith, f32, rawFile, scratch, sketch, soundFile } from './build';

const room = scratch();
after(room.close);
const read = (content: Uint8Array): FileHeader => safetensors.readHeader(room.write('t.safetensors', content));
const entry = (shape: string, offsets: string, dtype = '"F32"'): string => `{"t":{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}}`;

describe('one header', () => {
  test('tensors come in the order of their bytes, whatever the order of the header', () => {
    const header = '{"late":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"early":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"none":{"dtype":"F16","shape":[0,3],"data_offsets":[8,8]}}';
    const { tensors, dataFrom } = read(rawFile(header, 12));
    assert.deepEqual(tensors.map(({ name, from, to }) => [name, from - dataFrom, to - dataFrom]), [['early', 0, 8], ['none', 8, 8], ['late', 8, 12]]);
  });

  test('every number is bounded before it sizes anything', () => {
    const wrong: readonly [string, Uint8Array, Parameters<typeof failsWith>][] = [
      ['negative size', rawFile(entry('[-1]', '[0,4]'), 4), ['bad-shape']],
      ['negative zero', rawFile(entry('[-0]', '[0,0]')), ['bad-shape']],
      ['fraction', rawFile(entry('[1.5]', '[0,6]'), 6), ['bad-shape']],
      ['huge size', rawFile(entry('[1e300]', '[0,4]'), 4), ['bad-shape']],
      ['product past 2^53', rawFile(entry('[94906267,94906267]', '[0,4]'), 4), ['bad-shape', 'product']],
      ['overflow hidden by a zero', rawFile(entry('[1048576,1048576,1048576,0]', '[0,0]')), ['bad-shape']],
      ['shape is text', rawFile(entry('"4"', '[0,16]'), 16), ['bad-shape']],
      ['one offset', rawFile(entry('[1]', '[0]'), 4), ['bad-tensor-entry', 'data_offsets']],
      ['offsets are text', rawFile(entry('[1]', '["0","4"]'), 4), ['bad-tensor-entry', 'data_offsets']],
      ['dtype is a number', rawFile(entry('[1]', '[0,4]', '3'), 4), ['bad-tensor-entry', 'dtype']],
      ['dtype of the prototype', rawFile(entry('[1]', '[0,4]', '"toString"'), 4), ['unknown-dtype', 'toString']],
      ['entry is a list', rawFile('{"t":[]}'), ['bad-tensor-entry', 't']],
      ['half a byte', rawFile(entry('[3]', '[0,2]', '"F4"'), 2), ['size-mismatch', 'whole bytes']],
      ['far past the end behind a gap', rawFile(entry('[1]', '[996,1000]'), 8), ['offset-out-of-range', '1000', '8']],
      ['key of an entry twice', rawFile('{"t":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}', 4), ['bad-tensor-entry', 't', 'dtype']],
      ['metadata twice', rawFile('{"__metadata__":{},"__metadata__":{}}'), ['header-not-json', '__metadata__']],
      ['metadata key twice', rawFile('{"__metadata__":{"a":"1","a":"2"}}'), ['header-not-json', 'a']],
      ['not UTF-8', rawFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), ['header-not-json', 'UTF-8']],
      ['byte order mark', rawFile('\ufeff{}'), ['byte-order-mark']],
      ['no JSON', rawFile('{"t":'), ['header-not-json', 'character']],
      ['empty header', rawFile(''), ['header-not-json']],
      ['nothing but a length', rawFile('', 0, 2), ['header-longer-than-file', '8 bytes']],
      ['data after an empty model', rawFile('{}', 3), ['trailing-bytes', '3 bytes']],
    ];
    for (const [title, content, expected] of wrong) assert.throws(() => read(content), failsWith(...expected), title);
  });

  test('a header length beyond the limit is refused by its number, in a file that could hold it', () => {
    const file = room.write('huge.safetensors', rawFile('{}', 0, 100_000_001));
    truncateSync(file, 200_000_000); // a hole: takes no room on disk
    const before = process.memoryUsage().arrayBuffers;
    assert.throws(() => safetensors.readHeader(file), failsWith('header-too-large', '100000001'));
    assert.ok(process.memoryUsage().arrayBuffers - before < 10e6, 'the header was not read');
  });

  test('metadata is text to text; odd keys survive, other values are named and dropped', () => {
    const { metadata, problems } = read(rawFile('{"__metadata__":{"format":"pt","__proto__":"kept","n":1,"l":[]}}'));
    assert.deepEqual(Object.entries(metadata ?? {}), [['format', 'pt'], ['__proto__', 'kept']]);
    assert.deepEqual(problems.map(({ code, detail }) => [code, detail]), [['metadata-not-text', 'n, l']]);
    assert.deepEqual(read(rawFile('{"__metadata__":null}')).metadata, null);
    assert.deepEqual(read(rawFile('{}')).metadata, null);
  });

  test('blanks around the header are padding', () => {
    assert.deepEqual(read(rawFile('{}   \n')).problems, []);
    assert.deepEqual(read(rawFile(' {}')).problems.map((problem) => problem.code), ['header-space-first']);
  });
});

describe('any file at all', () => {
  const sound = soundFile([sketch('model.layers.0.mlp.up_proj.weight', [4, 8]), { name: 'half', dtype: 'F16', shape: [3], data: new Uint8Array(6) }, { name: '', shape: [], data: f32(1) }], { format: 'pt', note: 'é' });
  const damage = fc.array(fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(sound.length - 1), by: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(sound.length), by: fc.nat(40) }),
    fc.record({ kind: fc.constant('grow' as const), at: fc.nat(sound.length), by: fc.integer({ min: 1, max: 40 }) }),
  ), { minLength: 1, maxLength: 4 });

  /** Opens it, or gets a CheckpointError; what opens lies within the file. */
  function survives(content: Uint8Array): void {
    const file = room.write('fuzz.safetensors', content);
    try {
      const { tensors, files } = openCheckpoint(file);
      let end = files[0].dataFrom;
      for (const tensor of tensors) {
        assert.equal(tensor.from, end);
        end = tensor.to;
      }
      assert.equal(end, content.length);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof CheckpointError, error instanceof Error ? error.stack : String(error));
      assert.ok(error.detail.length < 4000);
    }
  }

  test('a damaged file opens within its bounds or is refused with a code', () => {
    fc.assert(fc.property(damage, (steps) => {
      let bytes: Buffer = Buffer.from(sound);
      for (const { kind, at, by } of steps) {
        if (kind === 'flip') { if (at < bytes.length) bytes[at] ^= by; }
        else if (kind === 'cut') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + by)]);
        else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(by, at & 255), bytes.subarray(at)]);
      }
      survives(bytes);
    }), { numRuns: 600 });
  });

  test('so does a file of noise, and one whose header is any JSON', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), survives), { numRuns: 150 });
    const value = fc.oneof(fc.constantFrom('F32', 'F4', 'F99', null, true), fc.array(fc.oneof(fc.integer({ min: -2, max: 40 }), fc.double()), { maxLength: 3 }), fc.string());
    const header = fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', '__metadata__', '__proto__'), fc.string()), fc.oneof(value, fc.record({ dtype: value, shape: value, data_offsets: value }, { requiredKeys: [] })), { maxKeys: 4 });
    fc.assert(fc.property(header, fc.nat(60), (json, length) => survives(rawFile(JSON.stringify(json), length))), { numRuns: 300 });
  });

  test('every way to cut a sound file short is refused, and says so', () => {
    for (let length = 0; length < sound.length; length++) {
      const file = room.write('cut.safetensors', sound.subarray(0, length));
      assert.throws(() => openCheckpoint(file), (error) => error instanceof CheckpointError
        && ['is-empty', 'header-too-short', 'header-cut-short', 'header-longer-than-file', 'file-cut-short'].includes(error.code), `${length} bytes`);
    }
  });
});
