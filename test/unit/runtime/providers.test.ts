import assert from 'node:assert/strict';
import { test } from 'node:test';
import { providers } from '../../../server/core/runtime/contract';
import { CheckpointError } from '../../../server/core/errors';
import { runJob } from '../../../server/core/job';
import type { Provider } from '../../../server/core/runtime/contract';
import { chooseProvider, onProvider, probeProviders, settleProvider } from '../../../server/core/runtime/providers';
import { wholeWindow } from '../graph/smallCheckpoint';
import { someIds, tinyGpt2Graph, withSession } from './fixture';
import { skipWebGpu, withSoftwareGpu, withoutGpu } from './software';

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

test('WebGPU has the losses of the CPU, masked and not', { skip: skipWebGpu, timeout: 180_000 }, () => withSoftwareGpu(async () => {
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

const onLinux = { skip: process.platform === 'linux' ? false : 'SKIPPED: hides the GPU by the environment of Vulkan, on Linux', timeout: 120_000 };
test('auto says which faster providers it passed over and why; a name says nothing', onLinux, () => withoutGpu(async () => {
  const { provider, remark } = await settleProvider('auto');
  assert.equal(provider, 'cpu');
  assert.equal(remark!.code, 'provider-fallback');
  assert.match(remark!.detail, /^cpu; cuda: .+; webgpu: tried: .+/);
  assert.doesNotMatch(remark!.detail, /dml|coreml/, 'those of other systems are no candidates');
  assert.deepEqual(await settleProvider('cpu'), { provider: 'cpu', remark: null });
}));

async function* failing(provider: Provider, code: 'runtime-failed' | 'not-finite'): AsyncGenerator<never, Provider, void> {
  await Promise.resolve();
  if (provider !== 'cpu') throw new CheckpointError(code, {}, 'operator Foo is not there');
  return provider;
}

test('where a model fails on the provider that auto found, it runs on the next one and says so; a name is never replaced', { skip: skipWebGpu, timeout: 120_000 }, () => withSoftwareGpu(async () => {
  const { provider, result, remark } = await runJob(onProvider('auto', (one) => failing(one, 'runtime-failed')));
  assert.deepEqual([provider, result], ['cpu', 'cpu']);
  assert.match(remark!.detail, /^cpu; .*webgpu: operator Foo is not there/);
  await assert.rejects(runJob(onProvider('webgpu', (one) => failing(one, 'runtime-failed'))), { code: 'runtime-failed' });
  await assert.rejects(runJob(onProvider('auto', (one) => failing(one, 'not-finite'))), { code: 'not-finite' }, 'what is wrong with the model is no reason to go on');
}));
