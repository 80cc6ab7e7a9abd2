import assert from 'node:assert/strict';
import { test } from 'node:test';
import { providers } from '../../../server/core/runtime/contract';
import { chooseProvider, probeProviders } from '../../../server/core/runtime/providers';
import { wholeWindow } from '../graph/smallCheckpoint';
import { someIds, tinyGpt2Graph, underSwiftShader, webgpuSkip, withSession } from './fixture';

test('every provider is answered for, with a reason, and the CPU works', { timeout: 120_000 }, async () => {
  const probes = await probeProviders();
  assert.deepEqual(probes.map(({ provider }) => provider), [...providers]);
  for (const { provider, reason } of probes) assert.ok(reason.length > 3, provider);
  assert.equal(probes[0].available, true);
  const elsewhere = process.platform === 'darwin' ? 'dml' : 'coreml';
  assert.equal(probes.find(({ provider }) => provider === elsewhere)!.available, false);
});

test('the CPU is answered without trying; a provider of another system is refused with the reason', async () => {
  assert.equal(await chooseProvider('cpu'), 'cpu');
  const elsewhere = process.platform === 'darwin' ? 'dml' : 'coreml';
  await assert.rejects(chooseProvider(elsewhere), { code: 'provider-unavailable' });
});

if (webgpuSkip) console.log(webgpuSkip);
test('WebGPU has the losses of the CPU, masked and not', { skip: webgpuSkip, timeout: 180_000 }, () => underSwiftShader(async () => {
  assert.equal(await chooseProvider('webgpu'), 'webgpu');
  const window = wholeWindow(someIds(32));
  const maskable = ['transformer.h.0.mlp.c_fc.weight', 'transformer.h.1.attn.c_attn.weight'];
  const graph = tinyGpt2Graph({ masking: 'thresholds', maskable });
  const run = (provider: 'cpu' | 'webgpu') => withSession(graph, async (session) => {
    const all: Float32Array[] = [];
    for (const thresholds of [null, Float32Array.of(0.2, 0.3)]) all.push((await session.run(window, thresholds)).losses);
    return all;
  }, { provider });
  const [cpu, gpu] = [await run('cpu'), await run('webgpu')];
  assert.notDeepEqual(gpu[0], gpu[1]);
  for (const [level, losses] of gpu.entries()) {
    for (const [i, loss] of losses.entries()) assert.ok(Math.abs(loss - cpu[level][i]) <= 2e-5 * Math.max(1, cpu[level][i]), `level ${level}, token ${i}: ${loss} is not ${cpu[level][i]}`);
  }
}));
