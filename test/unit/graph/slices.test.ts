import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ModelGraph } from '../../../server/core/graph/contract';
import { applyArchitecture } from '../../../server/core/models/openModel';
import type { GraphTensor } from '../../../server/core/runtime/contract';
import { openGraphSession } from '../../../server/core/runtime/graphSession';
import { tinyGpt2Graph, withSession } from '../runtime/fixture';
import { familyFolder as golden, openCase as familyCheckpoint, windowOf as familyWindow } from './familyCases';
import type { Family } from './familyCases';

type Tensors = Record<string, GraphTensor>;

async function runSlice(graph: ModelGraph, from: readonly string[], to: readonly string[], state: Tensors, ports: Tensors): Promise<Tensors> {
  const slice = graph.pieces!.builder.slice({ inputs: from, outputs: to.map((value, i) => ({ name: `out ${i}`, value, type: 'F32' })) });
  const session = await openGraphSession(slice.bytes, graph.root, { provider: 'cpu', threads: 1 });
  try {
    const { outputs } = await session.run(Object.fromEntries(slice.inputs.map((name) => [name, state[name] ?? ports[name]])));
    return Object.fromEntries(to.map((value, i) => [value, outputs[`out ${i}`]]));
  } finally {
    await session.close();
  }
}

describe('a model that is run block by block has the losses of the whole graph, whatever its family', { concurrency: 2 }, () => {
  for (const file of readdirSync(golden).filter((name) => name.endsWith('.json'))) {
    const family = path.basename(file, '.json'), { kind, cases } = JSON.parse(readFileSync(path.join(golden, file), 'utf8')) as Family;
    // One of each family; two ways to decode are two graphs.
    for (const one of cases.filter(({ decoder }, i) => i === 0 || decoder === 'emd')) test(one.name, async () => {
      const checkpoint = familyCheckpoint(family, one), window = familyWindow(kind, one);
      const graph = applyArchitecture(checkpoint).architecture!.buildGraph!(checkpoint, { masking: 'none', maskable: [], context: Math.max(one.ids.length, one.encoderIds?.length ?? 0), decoder: one.decoder });
      const ids = (data: BigInt64Array, dims = [1, data.length]): GraphTensor => ({ type: 'int64', data, dims });
      const ports: Tensors = { input_ids: ids(window.inputIds), positions: ids(window.positions), targets: ids(window.targets), ...(window.encoder && { encoder_ids: ids(window.encoder.ids) }) };
      const { boundaries } = graph.pieces!;
      assert.ok(boundaries.length >= 2, `${boundaries.length} boundaries `);
      let state: Tensors = {};
      for (const [i, boundary] of boundaries.entries()) {
        const from = i === 0 ? [] : boundaries[i - 1], carried = boundary.filter((value) => from.includes(value));
        const made = await runSlice(graph, from, boundary.filter((value) => !carried.includes(value)), state, ports);
        state = { ...made, ...Object.fromEntries(carried.map((value) => [value, state[value]])) };
        for (const { dims } of Object.values(state)) assert.equal(dims.length, 2);
      }
      const { losses } = await runSlice(graph, boundaries.at(-1)!, ['losses'], state, ports);
      const whole = await withSession(graph, (session) => session.run(window, null));
      for (const [i, loss] of whole.losses.entries()) assert.ok(Math.abs((losses.data as Float32Array)[i] - loss) <= 1e-5 * Math.max(1, loss), `${i}: ${(losses.data as Float32Array)[i]} is not ${loss}`);
    });
  }
});

test('a slice holds only the weights of its block, and another file\'s bytes where an overlay says so', () => {
  const graph = tinyGpt2Graph(), { builder, boundaries, taps } = graph.pieces!;
  const outputs = [{ name: 'hidden', value: boundaries[1][0], type: 'F32' as const }];
  const slice = builder.slice({ inputs: boundaries[0], outputs });
  const text = Buffer.from(slice.bytes).toString('latin1');
  assert.ok(text.includes('h.0.attn.c_attn.weight') && !text.includes('h.1.') && !text.includes('wte'));
  // Two norms, four matrices and their biases, width 32.
  assert.equal(slice.weightBytes, 4 * (4 * 32 + 32 * 96 + 96 + 32 * 32 + 32 + 2 * 32 * 128 + 128 + 32));
  assert.deepEqual([...slice.inputs].sort(), [...boundaries[0], 'input_ids'].sort());
  const other = builder.slice({ inputs: boundaries[0], outputs, overlay: new Map([['transformer.h.0.attn.c_attn.weight', { realPath: '/elsewhere/pruned.bin', from: 64, byteLength: 4 * 32 * 96 }], ['h.0.attn.c_attn.weight', { realPath: '/elsewhere/pruned.bin', from: 64, byteLength: 4 * 32 * 96 }]]) });
  assert.ok(Buffer.from(other.bytes).toString('latin1').includes('elsewhere/pruned.bin'));
  assert.ok(!text.includes('elsewhere'));
  assert.deepEqual(Buffer.from(tinyGpt2Graph().bytes), Buffer.from(builder.finish()), 'slicing changed the graph');
  assert.equal([...taps.keys()].filter((name) => name.includes('h.')).length, 8);
});
