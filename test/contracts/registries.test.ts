// Laws of every list of extension points: a new entry is tested here before anyone writes a test for it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { benchmarks, filesOfSplit } from '../../server/core/evaluation/benchmarks';
import type { SpecialTokens, Tokenizer } from '../../server/core/evaluation/contract';
import { findProtocol, protocols } from '../../server/core/evaluation/protocols';
import { CheckpointError } from '../../server/core/errors';
import { formats } from '../../server/core/formats/registry';
import { roles } from '../../server/core/models/contract';
import { architectures } from '../../server/core/models/registry';
import { allocationKinds } from '../../server/core/pruning/allocation';
import { scopes } from '../../server/core/pruning/contract';
import { methodParameters } from '../../server/core/pruning/options';
import { pruningMethods } from '../../server/core/pruning/registry';
import { providers } from '../../server/core/runtime/contract';
import { recipeKeys } from '../../server/language/recipe';
import { isWeightName } from '../../server/language/siblings';
import { commonFlags } from '../../server/rpc/arguments';
import { providerTitles } from '../../server/rpc/verbs/catalog';
import { verbs } from '../../server/rpc/verbs/registry';

const root = path.resolve(__dirname, '../..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { contributes: { customEditors: { selector: { filenamePattern: string }[] }[] } };

for (const [name, list] of [['formats', formats], ['methods', pruningMethods], ['architectures', architectures], ['benchmarks', benchmarks], ['protocols', protocols]] as const) {
  test(`${name} have ids that are one word, each once, and a title`, () => {
    assert.ok(list.length > 0);
    for (const { id, title } of list) {
      assert.match(id, /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.notEqual(title.trim(), '', id);
    }
    assert.equal(new Set(list.map(({ id }) => id)).size, list.length);
  });
}

test('a format names its files as they are looked for, and sniffs nothing that is not its own', () => {
  for (const { id, extensions, folderNames, indexSuffix, sniff } of formats) {
    assert.ok(extensions.length > 0 && extensions.every((extension) => /^(\.[a-z0-9_]+)+$/.test(extension)), id);
    assert.ok(folderNames.every((name) => [...extensions, indexSuffix].some((ending) => ending !== null && name.endsWith(ending))), id);
    assert.ok(indexSuffix === null || indexSuffix.endsWith('.json'), id);
    for (const head of ['', '<!DOCTYPE html>', 'version https://git-lfs.github.com/spec/v1\n', '{"weight_map": {}}']) assert.equal(sniff(Buffer.from(head), head.length), false, `${id}: ${head}`);
  }
});

test('what the editor opens and what its cheap look at names knows are the files of the formats', () => {
  const patterns = manifest.contributes.customEditors.flatMap(({ selector }) => selector.map(({ filenamePattern }) => filenamePattern));
  const expected = formats.flatMap(({ extensions, indexSuffix }) => [...extensions, ...(indexSuffix === null ? [] : [indexSuffix])].map((ending) => `*${ending.startsWith('.') ? '' : '.'}${ending}`));
  assert.deepEqual([...patterns].sort(), [...expected].sort());
  for (const pattern of expected) assert.ok(isWeightName(pattern.replace('*', 'model')), pattern);
  for (const name of ['config.json', 'tokenizer.json', 'README.md', '.safetensors']) assert.equal(isWeightName(name), false, name);
});

test('a method works in its default scope, on a pattern it has, and says in a sentence what it does', () => {
  for (const method of pruningMethods) {
    assert.ok(method.scopes.includes(method.defaultScope) && method.scopes.every((scope) => scopes.includes(scope)), method.id);
    assert.ok(method.patterns.length > 0, method.id);
    assert.match(method.summary, /^[A-Z].*\.$/);
    assert.notEqual(method.id, 'dense', 'level 0 is called that');
  }
});

test('what a method takes has a default within its range, a name that is no other flag or recipe key, and one meaning', () => {
  const taken = new Set<string>([...recipeKeys, ...commonFlags.map(({ name }) => name)]);
  for (const { id, allocations, parameters } of pruningMethods) {
    assert.ok(allocations.includes('uniform') && allocations.every((kind) => allocationKinds.includes(kind)), id);
    for (const { name, title, help, fallback, min, max, whole } of parameters) {
      assert.match(name, /^[a-z]+(-[a-z]+)*$/);
      assert.ok(!taken.has(name), `${name} is taken`);
      assert.ok(fallback >= min && fallback <= max && (!whole || [fallback, min].every(Number.isInteger)), `${id} ${name}`);
      assert.ok(title !== '' && help !== '', name);
    }
  }
  // Two methods may share a number, if it is the same one.
  for (const { name, methods, ...same } of methodParameters) {
    for (const id of methods) assert.deepEqual({ name, ...same }, pruningMethods.find((method) => method.id === id)!.parameters.find((parameter) => parameter.name === name), id);
  }
});

test('an architecture gives every name a role, whatever it is, and claims no model type twice', () => {
  const names = ['', 'a', '.', 'weight', 'h.0.attn.c_attn.weight', 'model.layers.0.self_attn.q_proj.weight', 'model.layers.999999999999.mlp.up_proj.weight', 'constructor', '__proto__.weight', 'é\u0000\n', 'x.'.repeat(5000)];
  for (const architecture of architectures) {
    assert.equal(architecture.matchesNames(new Set()), false, architecture.id);
    for (const name of names) for (const shape of [[], [4], [4, 4], [2, 4, 4]]) {
      const given = architecture.role(name, shape);
      assert.ok(roles.includes(given.role), `${architecture.id}: ${name} is ${given.role}`);
      assert.ok(given.layer === null || (Number.isSafeInteger(given.layer) && given.layer >= 0), name);
      if (given.prunable) assert.ok(given.parameter && given.orientation !== null && shape.length >= 2, `${architecture.id}: ${name} [${shape}]`);
      if (given.role === 'buffer') assert.equal(given.parameter, false);
    }
    for (const pair of architecture.tied({})) assert.notEqual(pair[0], pair[1]);
    assert.ok(architecture.maxContext({}) >= 1);
  }
  const types = architectures.flatMap(({ modelTypes }) => modelTypes);
  assert.ok(types.length > 0);
  assert.equal(new Set(types).size, types.length);
});

test('a benchmark has a checksum or a reason, and its other splits have other files', () => {
  for (const benchmark of benchmarks) {
    assert.ok(benchmark.files.length > 0 && benchmark.files.every((file) => !path.isAbsolute(file) && !file.includes('..')), benchmark.id);
    assert.ok(benchmark.sha256 === null || /^[0-9a-f]{64}$/.test(benchmark.sha256), benchmark.id);
    if (benchmark.rows) for (const split of ['valid', 'train'] as const) assert.ok(filesOfSplit(benchmark, split).every((file, i) => file !== benchmark.files[i]), benchmark.id);
  }
  // Two names of one text say so.
  for (const a of benchmarks) for (const b of benchmarks) if (a !== b && a.sha256 !== null && a.sha256 === b.sha256) assert.match(a.note ?? '', /same/, a.id);
});

/** One id a character; a begin and an end token around a text. */
const characters: Tokenizer = {
  size: 0x110000, name: 'characters', prefix: [1], suffix: [2],
  encode: (text) => Uint32Array.from(text, (character) => character.codePointAt(0)!), tokenOf: (id) => String.fromCodePoint(id),
};

const special: SpecialTokens = { begin: 1, start: 3, end: 2, mask: 4, sentinels: Array.from({ length: 100 }, (_, i) => 200_000 + i), all: new Set([1, 2, 3, 4]), size: 0x110000 };

const passages = ['Call me Ishmael', 'the whale the whale the whale the whale', 'it was the sea'];
const questions = [{ context: 'the sea is', choices: ['wet', 'dry'], gold: 0 }, { context: 'a whale is', choices: ['small', 'large', 'green'], gold: 1 }];

test('a protocol of parts lays each by itself, fits the context, and counts what it is asked for', () => {
  const parted = protocols.filter(({ reads }) => reads !== undefined);
  assert.ok(parted.length > 0);
  for (const protocol of parted) {
    const context = 16, parts = protocol.reads === 'questions' ? { questions } : { documents: passages };
    const { windows, items, tokens } = protocol.windows(characters, '', { context, stride: protocol.strideOf(context) }, special, parts);
    assert.ok(items !== undefined && tokens > 0, protocol.id);
    assert.equal(items.windows.length, protocol.reads === 'questions' ? questions.length : passages.length);
    assert.equal(items.windows.reduce((sum, each) => sum + each, 0), windows.length, protocol.id);
    for (const { ids, fed, scoreFrom, scoreTo } of windows) {
      assert.ok((fed ?? ids.length) <= context && (fed ?? ids.length) >= ids.length - 1 && scoreFrom >= 1 && scoreFrom < scoreTo && scoreTo <= ids.length, protocol.id);
    }
    for (let count = 1; count <= items.windows.length; count++) {
      const run = windows.slice(0, items.windows.slice(0, count).reduce((sum, each) => sum + each, 0)), scored = run.reduce((sum, window) => sum + window.scoreTo - window.scoreFrom, 0);
      const outcome = items.outcome(count, new Float32Array(scored).fill(0.5), protocol.wantsHits ? new Float32Array(scored) : null, context);
      assert.ok(outcome.value >= 0 && (outcome.items ?? count) === count && outcome.losses.length === (outcome.items ?? scored), protocol.id);
      for (const estimate of [outcome.accuracy, outcome.accuracyNorm]) assert.ok(estimate === undefined || (estimate.value >= 0 && estimate.value <= 1), protocol.id);
    }
    const empty = protocol.reads === 'questions' ? { questions: [] } : { documents: [] };
    assert.throws(() => protocol.windows(characters, '', { context: 16, stride: 16 }, special, empty), (error) => error instanceof CheckpointError && error.code === 'too-few-tokens', protocol.id);
    assert.throws(() => protocol.windows(characters, '', { context: 0, stride: 0 }, special, parts), (error) => error instanceof CheckpointError && error.code === 'bad-window', protocol.id);
    assert.equal(findProtocol(protocol.id, protocol.kind), protocol);
  }
});

test('every protocol has a page in the docs, and every benchmark a row', () => {
  for (const { id } of protocols) assert.match(readFileSync(path.join(root, `docs/protocols/${id}.md`), 'utf8'), new RegExp(`^# ${id}\n[\\s\\S]*\\*\\*Value\\*\\*`), id);
  const page = readFileSync(path.join(root, 'docs/benchmarks.md'), 'utf8');
  for (const { id } of benchmarks) assert.ok(page.includes(`| \`${id}\` |`), id);
});

test('a benchmark that is made for one protocol is made for one that there is', () => {
  for (const { protocol } of benchmarks) if (protocol !== undefined) assert.ok(protocols.some(({ id }) => id === protocol), protocol);
});

test('windows of a protocol of running text run in text order, fit the context, and score nothing twice', () => {
  for (const protocol of protocols.filter(({ reads }) => reads === undefined)) {
    for (const bare of [false, true]) for (const length of [100, 257, 1000]) {
      const context = 32, tokenizer = bare ? { ...characters, prefix: [], suffix: [] } : characters;
      const { tokens, windows } = protocol.windows(tokenizer, 'abcdefghij'.repeat(100).slice(0, length), { context, stride: protocol.strideOf(context) }, special);
      assert.ok(windows.length > 0 && tokens >= length, protocol.id);
      let scored = 0;
      for (const window of windows) {
        // A decoder's start token and an encoder's end token come on top of the text.
        const longest = protocol.kind === 'encoder-decoder' ? context + 1 : context;
        assert.ok(window.ids.length <= longest && (window.encoder?.length ?? 0) <= longest && window.scoreFrom < window.scoreTo && window.scoreTo <= window.ids.length, protocol.id);
        assert.equal(window.encoder !== undefined, protocol.kind === 'encoder-decoder', protocol.id);
        assert.equal(window.masked !== undefined, protocol.kind === 'encoder', protocol.id);
        if (window.masked) assert.ok(window.masked.at.length === window.masked.by.length && window.masked.at.every((at, i, all) => at < window.ids.length && (i === 0 || at > all[i - 1])), protocol.id);
        else assert.ok(window.scoreFrom >= 1, protocol.id);
        scored += window.masked ? window.masked.at.length : window.scoreTo - window.scoreFrom;
      }
      assert.ok(scored > 0 && (protocol.kind === 'decoder' ? scored < tokens : scored <= tokens), `${protocol.id}: ${scored} of ${tokens}`);
      if (protocol.asPublished) assert.ok(Math.abs(protocol.asPublished(windows, new Float32Array(scored).fill(1.5)) - Math.exp(1.5)) < 1e-4, 'equal losses have one average');
    }
    assert.throws(() => protocol.windows({ ...characters, prefix: [], suffix: [] }, '', { context: 32, stride: protocol.strideOf(32) }, special), (error) => error instanceof CheckpointError && error.code === 'too-few-tokens', protocol.id);
    assert.throws(() => protocol.windows(characters, 'abc', { context: 0, stride: 0 }, special), (error) => error instanceof CheckpointError && error.code === 'bad-window', protocol.id);
    const { context, stride } = protocol.defaults(4096);
    assert.ok(context <= 4096 && stride >= 1 && stride <= context);
    assert.equal(findProtocol(protocol.id, protocol.kind), protocol);
  }
  for (const { kind, buildGraph } of architectures) if (buildGraph) assert.ok(protocols.some((protocol) => protocol.kind === kind), `nothing measures ${kind} models`);
});

test('every provider has words of its own, and every verb is what its entry says', async () => {
  assert.deepEqual(Object.keys(providerTitles).sort(), [...providers].sort());
  for (const entry of verbs) assert.equal((await entry.load()).name, entry.name);
});
