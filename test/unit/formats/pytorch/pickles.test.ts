// Pickles and archives that no library would write: each kind of fault, and what a stranger may try.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError, type ErrorCode } from '../../../../server/core/errors';
import { openCheckpoint } from '../../../../server/core/formats/openCheckpoint';
import { PickleError, readPickle } from '../../../../server/core/formats/pytorch/pickle';
import { PyDict, PyList, PyObject, PyTuple, type PyValue } from '../../../../server/core/formats/pytorch/pickleValues';
import { valuesOf } from '../values';
import { binput, concat, dict, global, int, none, reduce, storedZip, streamOf, tensorPickle, text, tuple } from './buildPickle';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-pickle-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;
const open = (bytes: Uint8Array, name = 'x.pt') => {
  const file = path.join(folder, `${made++}-${name}`);
  writeFileSync(file, bytes);
  return openCheckpoint(file);
};
const failure = (bytes: Uint8Array): CheckpointError => {
  try {
    open(bytes);
  } catch (error) {
    assert.ok(error instanceof CheckpointError, String(error));
    return error;
  }
  return assert.fail('it opened');
};
const machine = (source: string | Uint8Array): PyValue => readPickle(typeof source === 'string' ? new Uint8Array(Buffer.from(source, 'latin1')) : source, 0, {
  called: (callable, args) => new PyObject(callable, args), persistent: (id) => id,
}).value;
const plain = (value: PyValue): unknown => (value instanceof PyList || value instanceof PyTuple ? value.items.map(plain) : value instanceof PyDict ? Object.fromEntries([...value.entries].map(([key, item]) => [String(plain(key)), plain(item)]))
  : value instanceof PyObject ? `${value.of?.path}(${value.args.map(plain).join()})` : value instanceof Uint8Array ? [...value] : value);

const data = new Uint8Array(new Float32Array([1, -2, 3, 4]).buffer);

describe('the pickle machine', () => {
  const rows: [string, string, unknown][] = [
    ['protocol 0 numbers', '(I42\nL-7L\nF2.5\nI01\nI00\nNt.', [42, -7, 2.5, true, false, null]],
    ['protocol 0 text', "(S'it\\'s'\nVabc\nl.", ["it's", 'abc']],
    ['protocol 0 dictionaries', "(dp0\nS'a'\np1\nI1\nsg1\n0.", { a: 1 }],
    ['integers of any length', '(\x8a\x01\xff\x8a\x00\x8b\x02\x00\x00\x00\x00\x80\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01t.', [-1, 0, -32768, 2n ** 64n]],
    ['big-endian doubles', 'G\x3f\xf8\x00\x00\x00\x00\x00\x00.', 1.5],
    ['memo by order', '\x80\x04\x8c\x01a\x94h\x00\x86.', ['a', 'a']],
    ['old instances', '(I1\nios\nsystem\n.', 'os.system(1)'],
    ['bytes and byte arrays', '\x80\x05(C\x02ab\x96\x01\x00\x00\x00\x00\x00\x00\x00ct.', [[97, 98], [99]]],
    ['a key that is a prototype', '}\x8c\x09__proto__K\x01s.', JSON.parse('{"__proto__": 1}') as unknown],
    ['frames', '\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x07.', 7],
  ];
  for (const [title, source, wanted] of rows) test(`reads ${title}`, () => assert.deepEqual(plain(machine(source)), wanted));

  const broken: [string, string][] = [
    ['an empty stack', '0.'], ['a memo that was never filled', 'h\x05.'], ['a mark that is missing', 't.'], ['an opcode that is none', '\xfe.'], ['protocol 6', '\x80\x06N.'], ['an end that is missing', 'K\x01'],
    ['a length beyond the end', 'X\xff\xff\xff\x7fa.'], ['a length of 2^63', '\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.'], ['a dictionary of odd length', '(K\x01d.'], ['items set on a number', 'K\x01K\x02K\x03s.'],
    ['items added to a tuple', ')K\x01a.'], ['a call without a tuple', 'cos\nsystem\nK\x01R.'], ['a global whose name is a number', 'K\x01K\x02\x93.'], ['buffers from outside', '\x97.'], ['an extension', '\x82\x01.'],
    ['an integer that is none', 'Iabc\n.'], ['text without quotes', 'Sabc\n.'], ['an integer of a megabyte', `\x8b\x00\x00\x10\x00${'a'.repeat(100)}.`],
    ['marks without end', '('.repeat(20_000)],
  ];
  for (const [title, source] of broken) test(`refuses ${title}`, () => assert.throws(() => machine(source), PickleError));

  test('keeps its own stack: a million items are no recursion', () => {
    const source = new Uint8Array(2_000_004).fill(0x4e);
    source.set([0x5d, 0x28]);
    source.set([0x65, 0x2e], source.length - 2);
    const value = machine(source);
    assert.ok(value instanceof PyList && value.items.length === 2_000_000);
  });
});

describe('what a stranger asks for', () => {
  const calls: [string, string, string][] = [
    ['os', 'system', 'os.system'], ['posix', 'system', 'posix.system'], ['nt', 'system', 'nt.system'], ['subprocess', 'Popen', 'subprocess.Popen'], ['__builtin__', 'eval', 'builtins.eval'], ['builtins', 'getattr', 'builtins.getattr'],
    ['builtins', '__import__', 'builtins.__import__'], ['runpy', 'run_path', 'runpy.run_path'], ['importlib', 'import_module', 'importlib.import_module'], ['torch.serialization', 'os.system', 'torch.serialization.os.system'],
    ['numpy', 'load.__globals__', 'numpy.load.__globals__'], ['torch.hub', 'load', 'torch.hub.load'], ['pickle', 'loads', 'pickle.loads'], ['webbrowser', 'open', 'webbrowser.open'], ['numpy.testing._private.utils', 'runstring', 'numpy.testing'],
    ['operator', 'attrgetter', 'operator.attrgetter'],
  ];
  for (const [module, name, said] of calls) {
    test(`${module} ${name} is refused and named, in an archive and in every pickle of a stream`, () => {
      const evil = reduce(global(module, name), tuple(text('echo')));
      for (const bytes of [
        storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['w', tensorPickle('0', 4, [4])], ['x', evil]), '.'), 'a/data/0': data }),
        streamOf(concat('\x80\x02', dict(['x', evil]), '.'), [], []),
        streamOf(concat('\x80\x02', dict(), '.'), [], [], { system: concat('\x80\x02', evil, '.') }),
        streamOf(concat('\x80\x02', dict(), '.'), [], [], { keys: concat('\x80\x02', evil, '.') }),
      ]) {
        const { code, detail } = failure(bytes);
        assert.equal(code, 'pickle-blocked');
        assert.ok(detail.includes(said), detail);
      }
    });
  }

  test('an unknown class is shown by its name, and nothing of it is lost or run', () => {
    const other = concat(reduce(global('my.project', 'Config'), tuple()), '}', text('lr'), int(3), 's', 'b');
    const { tensors, opaque, problems } = open(storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['w', tensorPickle('0', 4, [4])], ['config', other]), '.'), 'a/data/0': data }));
    assert.deepEqual(tensors.map((tensor) => tensor.name), ['w']);
    assert.deepEqual(opaque?.map((entry) => [entry.name, entry.detail]), [['config', 'my.project.Config'], ['config.lr', '3']]);
    assert.match(problems[0].detail, /my\.project\.Config/);
  });

  test('a tensor beside the model, as the random state is, does not hide the model', () => {
    const { tensors, opaque } = open(storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['rng', tensorPickle('0', 4, [2])], ['state_dict', dict(['w', tensorPickle('0', 4, [4])])]), '.'), 'a/data/0': data }));
    assert.deepEqual([tensors.map((tensor) => tensor.name), opaque?.map((entry) => entry.name)], [['w'], ['rng']]);
  });

  test('lists that hold one another a billion times are walked once', () => {
    let bomb: Uint8Array = concat(']', binput(0), '0');
    for (let i = 0; i < 40; i++) bomb = concat(bomb, ']', '(', `h${String.fromCharCode(i)}`.repeat(10), 'e', binput(i + 1), '0');
    const { tensors } = open(storedZip({ 'a/data.pkl': concat('\x80\x02', bomb, dict(['bomb', concat('h\x28')], ['w', tensorPickle('0', 4, [4])]), '.'), 'a/data/0': data }));
    assert.equal(tensors.length, 1);
  });

  test('a list in itself ends', () => {
    assert.equal(open(storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['w', tensorPickle('0', 4, [4])], ['loop', concat(']', binput(1), 'h\x01', 'a')]), '.'), 'a/data/0': data })).tensors.length, 1);
  });

  test('names that would multiply are refused', () => {
    let nested = dict(...Array.from({ length: 50 }, (_, i): [string, Uint8Array] => [`${i}`, none()]));
    for (let i = 0; i < 10; i++) nested = dict(['n'.repeat(4000), nested]);
    assert.equal(failure(storedZip({ 'a/data.pkl': concat('\x80\x02', nested, '.') })).code, 'pickle-broken');
  });
});

describe('shapes and storages of a stranger', () => {
  const of = (shape: number[], stride: number[], offset = 0, numel = 4): Uint8Array => storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['w', tensorPickle('0', numel, shape, { stride, offset })]), '.'), 'a/data/0': data });
  const rows: [string, Uint8Array, ErrorCode, RegExp][] = [
    ['a negative size', of([-1], [1]), 'bad-view', /\[-1\]/],
    ['a negative stride', of([2], [-1], 3), 'bad-view', /strides \[-1\]/],
    ['more strides than sizes', of([2], [1, 1]), 'bad-view', /1 sizes and 2 strides/],
    ['a shape that overflows', of([2 ** 30, 2 ** 30, 2 ** 30], [0, 0, 0]), 'bad-view', /1073741824/],
    ['a terabyte by zero strides', of([2 ** 20, 2 ** 20], [0, 0]), 'bad-view', /in a file of/],
    ['an offset beyond the storage', of([2], [1], 3), 'storage-too-short', /holds 16 bytes, tensor w needs 20/],
    ['a stride that leaves the storage', of([2], [4]), 'storage-too-short', /needs 20/],
    ['a size that is text', storedZip({ 'a/data.pkl': concat('\x80\x02', dict(['w', reduce(global('torch._utils', '_rebuild_tensor_v2'), tuple(concat(tuple(text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), int(4)), 'Q'), int(0), tuple(text('4')), tuple(int(1))))]), '.'), 'a/data/0': data }), 'pickle-broken', /no integer/],
  ];
  for (const [title, bytes, code, words] of rows) {
    test(`${title} is ${code}`, () => {
      const error = failure(bytes);
      assert.equal(error.code, code, error.message);
      assert.match(error.detail, words);
    });
  }

  test('what the pickle says of a storage\'s size does not count: the record does', () => {
    assert.deepEqual(valuesOf(open(of([4], [1], 0, 1000)), 'w'), [1, -2, 3, 4]);
    assert.deepEqual(valuesOf(open(of([4], [1], 0, 1)), 'w'), [1, -2, 3, 4]);
  });
});

describe('archives of a stranger', () => {
  const pickle = concat('\x80\x02', dict(['w', tensorPickle('0', 4, [4])]), '.');
  const sound = storedZip({ 'a/data.pkl': pickle, 'a/data/0': data });
  const at = (bytes: Uint8Array, magic: number): number => { for (let i = bytes.length - 4; i >= 0; i--) if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(i, true) === magic) return i; return assert.fail('not there'); };
  const changed = (change: (view: DataView, directory: number, end: number) => void): Uint8Array => {
    const copy = sound.slice();
    change(new DataView(copy.buffer), at(copy, 0x02014b50), at(copy, 0x06054b50));
    return copy;
  };
  const rows: [string, Uint8Array, ErrorCode, RegExp][] = [
    ['cut before its directory', sound.slice(0, sound.length - 60), 'zip-broken', /no central directory/],
    ['a directory beyond the file', changed((view, _, end) => view.setUint32(end + 16, 0x7fffffff, true)), 'zip-broken', /directory of 2 entries/],
    ['a million entries in a hundred bytes', changed((view, _, end) => view.setUint16(end + 10, 0xffff, true)), 'zip-broken', /65535 entries/],
    ['an entry beyond the file', changed((view, directory) => { view.setUint32(directory + 20, 0x7ffffff0, true); view.setUint32(directory + 24, 0x7ffffff0, true); }), 'zip-broken', /takes 2147483632 bytes/],
    ['an entry whose header is elsewhere', changed((view, directory) => view.setUint32(directory + 42, 3, true)), 'zip-broken', /does not begin where/],
    ['an unknown compression', changed((view, directory) => view.setUint16(directory + 10, 12, true)), 'unsupported-format', /method 12/],
    ['an encrypted entry', changed((view, directory) => view.setUint16(directory + 8, 1, true)), 'unsupported-format', /encrypted/],
    ['two entries of one name', storedZip([['a/data.pkl', pickle], ['a/data/0', data], ['a/data/0', data]]), 'zip-broken', /appears twice/],
    ['no pickle', storedZip({ 'word/document.xml': data }), 'unsupported-format', /no data\.pkl, but word\/document\.xml/],
    ['a deflated bomb', storedZip([['a/data.pkl', pickle], ['a/data/0', data]], { claim: { 'a/data.pkl': 2 ** 31 } }), 'zip-broken', /would inflate to 2147483648 bytes/],
  ];
  for (const [title, bytes, code, words] of rows) {
    test(`${title} is ${code}`, () => {
      const error = failure(bytes);
      assert.equal(error.code, code, error.message);
      assert.match(error.detail, words);
    });
  }

  test('bytes before and a comment after the archive do not matter to its end', () => {
    const withComment = concat(sound.slice(0, -2), '\x05\x00', 'hello');
    assert.deepEqual(valuesOf(open(withComment), 'w'), [1, -2, 3, 4]);
  });
  test('the pickle nearest to the root is the one, whatever the folder is called', () => {
    assert.deepEqual(open(storedZip({ 'x y/é/data.pkl': pickle, 'x y/data.pkl': pickle, 'x y/data/0': data })).tensors.map((tensor) => tensor.name), ['w']);
  });
  test('a Keras archive is named as such', () => {
    const file = path.join(folder, 'm.keras');
    writeFileSync(file, storedZip({ 'metadata.json': data }));
    assert.throws(() => openCheckpoint(file), (error) => error instanceof CheckpointError && error.code === 'unsupported-format' && /Keras/.test(error.detail));
  });
});

describe('streams of a stranger', () => {
  const pickle = concat('\x80\x02', dict(['w', tensorPickle('0', 4, [4])], ['v', tensorPickle('1', 4, [2], { offset: 2 })]), '.');
  const sound = streamOf(pickle, ['0', '1'], [data, data]);
  const rows: [string, Uint8Array, ErrorCode, RegExp][] = [
    ['cut in its last storage', sound.slice(0, -3), 'storage-too-short', /storage 1 holds 13 bytes, tensor v needs 16/],
    ['cut before its last storage', sound.slice(0, -24), 'storage-missing', /storage record 1 is missing/],
    ['cut in its pickle', sound.slice(0, 60), 'pickle-broken', /cut short/],
    ['a negative number of elements', (() => { const copy = sound.slice(); copy.fill(0xff, copy.length - 24, copy.length - 16); return copy; })(), 'pickle-broken', /has -1 elements/],
    ['a pickle that torch did not write', concat('\x80\x02', dict(['a', int(1)]), '.'), 'unsupported-format', /torch\.save did not write/],
    ['nothing but numbers', streamOf(concat('\x80\x02', dict(['a', int(1)]), '.'), [], []), 'no-tensors', /none/],
  ];
  for (const [title, bytes, code, words] of rows) {
    test(`${title} is ${code}`, () => {
      const error = failure(bytes);
      assert.equal(error.code, code, error.message);
      assert.match(error.detail, words);
    });
  }
  test('a sound one reads', () => assert.deepEqual(valuesOf(open(sound), 'v'), [3, 4]));
});
