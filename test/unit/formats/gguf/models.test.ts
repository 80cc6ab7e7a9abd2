// Small random models of every mapped architecture, stored as llama.cpp's converter stores them: the ids of the Rust library and SentencePiece,
// the perplexities of transformers, and a pruned copy that is transformers' model, pruned.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { tokenizerOf } from '../../../../server/core/evaluation/tokenizer';
import { openModel } from '../../../../server/core/models/openModel';
import { scratch, sha, winnow } from '../../pruning/helpers';

const root = path.join(__dirname, '../../../..'), folder = path.join(root, 'test/golden/gguf'), sample = path.join(root, 'dist/sample.txt');
interface Run { readonly scored: number; readonly value: number; readonly pruned: number }
interface Entry { readonly name: string; readonly odd: readonly number[]; readonly tokens: number; readonly firstIds: readonly number[]; readonly runs: Readonly<Record<string, Run>> }
const golden = JSON.parse(readFileSync(path.join(folder, 'models.json'), 'utf8')) as { readonly odd: string; readonly context: number; readonly limit: number; readonly models: readonly Entry[] };
const skip = existsSync(sample) ? false : 'dist/sample.txt is not there';
if (skip) console.error(`SKIPPED: ${skip}, so no GGUF model was evaluated`);
const out = scratch('gguf-models');

/** Hashes of the pruned copies: transformers loaded each and gave the logits of the model that numpy pruned (checkPruned.py). */
const pruned: Readonly<Record<string, string>> = {
  gpt2: '08b33b30dd89b71aedc2a2143d2e904addf23e9a0bdda8770ab6f3233009383b', qwen2: 'a99421e956b8798c568d2b0d5392cc37583d8bce9dd9dd93a3b8d89c2eae475d',
  qwen3: 'fd3a41df17122118ba553e754290498854f9b181a66b10f160b29fb7a7709bb9', llama: 'eba3240f7ddb2063ef3a052f8fd4d7e0d46c864a22f44d460e8215af2ef2a7fe',
  t5: 'c588a359abefd423f17dc23a2182c2cc2f2a786affb66b7e804a93993d07fb10',
};

async function perplexity(file: string, protocol: string): Promise<{ value: number; scored: number; tokens: number }> {
  const { code, json, err } = await winnow(['eval', file, '--text', sample, '--protocol', protocol, '--context', String(golden.context), ...(protocol === 'hf-stride' ? ['--stride', String(golden.context)] : []), '--limit', String(golden.limit), '--provider', 'cpu']);
  assert.equal(code, 0, err);
  const { value, scoredTokens, tokens } = json as { value: number; scoredTokens: number; tokens: number };
  return { value, scored: scoredTokens, tokens };
}

for (const { name, odd, tokens, firstIds, runs } of golden.models) {
  const file = path.join(folder, 'models', `${name}.gguf`);
  test(`${name}: the ids of an odd text and of the sample are those of the library it was made with`, { skip }, () => {
    const tokenizer = tokenizerOf(openModel(file).checkpoint), text = readFileSync(sample, 'utf8');
    // T5's published tokenizer.json keeps a blank at the end, SentencePiece does not.
    assert.deepEqual([...tokenizer.encode(name === 't5' ? golden.odd.trimEnd() : golden.odd)], odd);
    const ids = [...tokenizer.prefix, ...tokenizer.encode(text)];
    assert.equal(ids.length, tokens);
    assert.deepEqual(ids.slice(0, firstIds.length), firstIds);
  });

  test(`${name}: its perplexity is that of transformers, before and after pruning, and the copy is safetensors`, { skip }, async () => {
    const copy = path.join(out, name), { code, err } = await winnow(['prune', file, '--sparsity', '0.5', '--out', copy]);
    assert.equal(code, 0, err);
    for (const [protocol, expected] of Object.entries(runs)) {
      for (const [what, at, value] of [['as it is', file, expected.value], ['pruned', copy, expected.pruned]] as const) {
        const got = await perplexity(at, protocol);
        assert.ok(Math.abs(got.value / value - 1) <= 2e-5, `${protocol}, ${what}: ${got.value}, expected ${value}`);
        assert.equal(got.scored, expected.scored);
      }
    }
    assert.equal(sha(path.join(copy, 'model.safetensors')), pruned[name]);
  });
}
