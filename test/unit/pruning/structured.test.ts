import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { withPlainWeights } from '../../../server/core/evaluation/materialise';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { WeightReference } from '../../../server/core/graph/contract';
import { runJob } from '../../../server/core/job';
import type { Model } from '../../../server/core/models/contract';
import { applyArchitecture } from '../../../server/core/models/openModel';
import type { PlanTools, PrunePlan } from '../../../server/core/pruning/contract';
import { findMethod } from '../../../server/core/pruning/registry';
import { unitOfPlace } from '../../../server/core/pruning/structured/scoreUnits';
import { headGroups, neuronGroups } from '../../../server/core/pruning/structured/units';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { golden, withSession } from '../runtime/fixture';
import { smallCheckpoint, wholeWindow } from '../graph/smallCheckpoint';

/** Removing a unit must be what zeroing all that it passes on is: the referee of every test here is the graph of the whole model. */
interface Small { readonly name: string; readonly checkpoint: Checkpoint; readonly window: WindowBatch; readonly normsFirst: boolean }

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-structured-'));
after(() => rmSync(scratch, { recursive: true }));

const ints = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
interface Case { readonly name: string; readonly weights: string | readonly string[]; readonly config: Record<string, unknown>; readonly ids: readonly number[]; readonly encoderIds?: readonly number[] }

function smallModels(): Small[] {
  const plain = (JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as Case[]).filter(({ name }) => ['gpt2', 'gpt2 bf16', 'llama', 'llama tied', 'qwen3', 'qwen2'].includes(name))
    .map((one): Small => ({ name: one.name, checkpoint: smallCheckpoint(golden, `${one.weights as string}.safetensors`, one.config), window: wholeWindow(one.ids), normsFirst: true }));
  const folder = path.join(golden, 'families');
  const families = readdirSync(folder).filter((file) => file.endsWith('.json')).flatMap((file) => {
    const family = path.basename(file, '.json'), { kind, cases } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { kind: string; cases: readonly Case[] };
    return cases.slice(0, 2).map((one): Small => {
      const all = smallCheckpoint(folder, `${family}.safetensors`, one.config);
      const tensors = all.tensors.flatMap((tensor) => { const slash = tensor.name.indexOf('/'); return one.weights.includes(tensor.name.slice(0, slash)) ? [{ ...tensor, name: tensor.name.slice(slash + 1) }] : []; });
      const window = kind === 'encoder' ? { inputIds: ints(one.ids), batch: 1, length: one.ids.length, positions: ints(one.ids.map((_, i) => i)), targets: ints(one.ids) }
        : { ...wholeWindow(one.ids), ...(one.encoderIds && { encoder: { ids: ints(one.encoderIds), length: one.encoderIds.length } }) };
      return { name: `${family}: ${one.name}`, checkpoint: { ...all, tensors }, window, normsFirst: kind !== 'encoder' && one.config.do_layer_norm_before !== false };
    });
  });
  return [...plain, ...families];
}

const tools = { io: 'pread' } as PlanTools;
const planOf = (model: Model, method: string, sparsity: number, more: object = {}): Promise<PrunePlan> =>
  runJob(findMethod(method).plan(model, { sparsity, scope: findMethod(method).defaultScope, pattern: 'unstructured', include: [], exclude: [], seed: 0, ...more }, tools));

async function lossesOf(checkpoint: Checkpoint, window: WindowBatch, overlay?: ReadonlyMap<string, WeightReference>): Promise<Float32Array> {
  const plain = await runJob(withPlainWeights(applyArchitecture(checkpoint), scratch));
  try {
    const { architecture } = plain.model;
    const graph = architecture!.buildGraph!(plain.model.checkpoint, { masking: 'none', maskable: [], context: Math.max(window.length, window.encoder?.length ?? 0), ...(overlay && { overlay }) });
    return await withSession(graph, async (session) => (await session.run(window, null)).losses);
  } finally {
    plain.close();
  }
}

/** Bytes of some tensors, with zeros at the places that `gone` says, as an overlay. */
function zeroed(checkpoint: Checkpoint, name: string, gone: ReadonlyMap<string, (index: number) => boolean>): ReadonlyMap<string, WeightReference> {
  const whole = readFileSync(checkpoint.files[0].path), file = path.join(scratch, `${name.replace(/\W/g, '-')}.bin`);
  for (const { name: tensor, from, to, elements } of checkpoint.tensors) {
    const leaves = gone.get(tensor);
    if (!leaves) continue;
    const size = (to - from) / elements;
    for (let i = 0; i < elements; i++) if (leaves(i)) whole.fill(0, from + i * size, from + (i + 1) * size);
  }
  writeFileSync(file, whole);
  return new Map(checkpoint.tensors.filter((tensor) => gone.has(tensor.name)).map(({ name: tensor, from, to }) => [tensor, { realPath: file, from, byteLength: to - from }]));
}

function assertClose(got: Float32Array, want: Float32Array): void {
  assert.equal(got.length, want.length);
  const worst = got.reduce((most, loss, i) => Math.max(most, Math.abs(loss - want[i]) / Math.max(1, want[i])), 0);
  assert.ok(worst <= 2e-5, `losses differ by ${worst}`);
}

describe('a model without some units has the losses of the whole one with what they pass on zeroed', { concurrency: 2 }, () => {
  for (const { name, checkpoint, window, normsFirst } of smallModels()) {
    const model = applyArchitecture(checkpoint);
    for (const method of ['heads', 'neurons'] as const) {
      test(`${name}: ${method}`, async (t) => {
        let groups;
        try {
          groups = method === 'heads' ? headGroups(model).groups : neuronGroups(model);
        } catch (error) {
          // Where a family cannot have it, it is refused with the reason, by the plan too.
          assert.ok(error instanceof CheckpointError && error.code === 'unsupported-structure', String(error));
          await assert.rejects(planOf(model, method, 0.5), { code: 'unsupported-structure' });
          t.diagnostic(error.detail);
          return;
        }
        const plan = await planOf(model, method, 0.5), { structure } = plan;
        const gone = new Map(groups.flatMap(({ parts, units }, g) => parts.filter(({ out }) => out).map((part) => {
          const stays = new Set(structure!.kept[g].units), owner = unitOfPlace(part, units), width = part.info.shape[1];
          return [part.info.name, (index: number) => { const unit = owner[part.axis === 0 ? Math.floor(index / width) : index % width]; return unit >= 0 && !stays.has(unit); }] as const;
        })));
        // Half of an odd number goes to its even neighbour.
        assert.ok(plan.selected > 0 && structure!.kept.every(({ units, of }) => units.length === of - (of % 2 === 0 ? of / 2 : (of - 1) / 2 + ((of - 1) / 2) % 2)));
        const whole = checkpoint.tensors.reduce((sum, { elements }) => sum + elements, 0), left = structure!.shrunk.tensors.reduce((sum, { elements }) => sum + elements, 0);
        assert.equal(whole - left, plan.selected, 'what is counted as gone is gone from the file');
        assertClose(await lossesOf(structure!.shrunk, window), await lossesOf(checkpoint, window, zeroed(checkpoint, `${name} ${method}`, gone)));
      });
    }
    test(`${name}: layers`, async (t) => {
      let plan: PrunePlan;
      try {
        plan = await planOf(model, 'layers', 0.5);
      } catch (error) {
        assert.ok(error instanceof CheckpointError && ['unsupported-structure', 'unsupported-config'].includes(error.code), String(error));
        t.diagnostic(`${error.code}: ${error.detail}`);
        return;
      }
      const { shrunk, kept } = plan.structure!;
      const got = await lossesOf(shrunk, window);
      if (!normsFirst) return; // a norm after each half is not skipped by zeroing it: that it evaluates is all that is said
      const leaves = (i: number): boolean => {
        const { layer, stack, role } = model.roles[i];
        return layer !== null && !kept.find(({ block }) => block === (stack ?? 'all'))!.units.includes(layer) && ['attention.out', 'mlp.down', 'expert.down'].includes(role);
      };
      const names = checkpoint.tensors.filter((_, i) => leaves(i)).flatMap(({ name: tensor }) => [tensor, tensor.replace(/weight$/, 'bias')]);
      assert.ok(names.length > 0);
      assertClose(got, await lossesOf(checkpoint, window, zeroed(checkpoint, `${name} layers`, new Map(names.map((tensor) => [tensor, () => true])))));
    });
  }
});

test('the units that go are those of least norm, the first of equals', async () => {
  const file = path.join(golden, 'llama.safetensors'), config = (JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as Case[]).find(({ name }) => name === 'llama')!.config;
  const checkpoint = smallCheckpoint(golden, path.basename(file), config), model = applyArchitecture(checkpoint), bytes = readFileSync(file);
  const values = (name: string): Float32Array => { const { from, to } = checkpoint.tensors.find((one) => one.name === name)!; return new Float32Array(Uint8Array.from(bytes.subarray(from, to)).buffer); };
  const { structure } = await planOf(model, 'neurons', 0.25);
  const [inner, width] = checkpoint.tensors.find(({ name }) => name.endsWith('layers.0.mlp.up_proj.weight'))!.shape;
  const [gate, up, down] = ['gate_proj', 'up_proj', 'down_proj'].map((part) => values(checkpoint.tensors.find(({ name }) => name.endsWith(`layers.0.mlp.${part}.weight`))!.name));
  const norms = Array.from({ length: inner }, (_, unit) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += gate[unit * width + i] ** 2 + up[unit * width + i] ** 2 + down[i * inner + unit] ** 2;
    return sum;
  });
  const order = [...norms.keys()].sort((a, b) => norms[a] - norms[b]);
  assert.deepEqual(structure!.kept[0].units, order.slice(Math.round(inner * 0.25)).sort((a, b) => a - b));
});

test('a multiple is kept to, sparsity 0 takes nothing, sparsity 1 leaves one unit', async () => {
  const config = (JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as Case[]).find(({ name }) => name === 'llama')!.config;
  const model = applyArchitecture(smallCheckpoint(golden, 'llama.safetensors', config));
  const left = async (sparsity: number, parameters: object = {}): Promise<number> => (await planOf(model, 'neurons', sparsity, { parameters })).structure!.kept[0].units.length;
  const all = await left(0);
  assert.equal(all, model.checkpoint.tensors.find(({ name }) => name.endsWith('layers.0.mlp.up_proj.weight'))!.shape[0]);
  assert.equal(await left(1), 1);
  assert.equal((await left(0.3, { 'multiple-of': 8 })) % 8, 0);
});
