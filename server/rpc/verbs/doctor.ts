import { cpus, freemem, totalmem } from 'node:os';
import { version } from '../../../package.json';
import { loadMapper } from '../../core/bytes/nativeMap';
import { benchmarks, locateBenchmark } from '../../core/evaluation/benchmarks';
import { providers } from '../../core/runtime/contract';
import { availableMemory } from '../../core/runtime/memory';
import { probeProviders } from '../../core/runtime/providers';
import type { ProviderProbe } from '../../core/runtime/providers';
import { runtimeVersion } from '../../core/runtime/version';
import type { DoctorJson } from '../../protocol/verbs';
import { formatBytes } from '../progressBar';
import type { Verb } from './contract';

/** `winnow doctor`: what works on this machine, what is missing, and how to get it. */
export const doctor: Verb<'doctor'> = {
  name: 'doctor',
  usage: '[--data FOLDER]',
  summary: 'Say what works on this machine, what is missing, and how to get it.',
  flags: [],
  positional: [0, 0],

  async *run(_args, context) {
    const probes: ProviderProbe[] = [];
    for (const [index, provider] of providers.entries()) {
      yield { stage: 'trying providers', done: index, total: providers.length, unit: 'providers', note: provider };
      probes.push(...await probeProviders([provider]));
    }
    const { mapper, reason } = loadMapper(), runtime = runtimeVersion();
    const missing: { what: string; how: string }[] = [];
    if (runtime === null) missing.push({ what: 'onnxruntime-node', how: 'Run `npm ci` in the project; without it nothing is evaluated, inspecting and pruning work.' });
    if (!mapper) missing.push({ what: 'memory maps (koffi)', how: 'Run `npm ci` in the project; files are read instead, which is a little slower.' });
    const absent = benchmarks.filter((benchmark) => locateBenchmark(benchmark, context.dataFolder) === null).map(({ id }) => id);
    if (absent.length > 0) missing.push({ what: `benchmark texts: ${absent.join(', ')}`, how: 'Run `winnow fetch ID --data FOLDER`, or put the WikiText archives, unpacked, into one folder and name it with --data FOLDER or WINNOW_DATA; or use --text FILE.' });
    const gpu = probes.filter(({ provider, available }) => available && provider !== 'cpu');
    if (gpu.length === 0) missing.push({ what: 'a GPU provider', how: 'Install a Vulkan, Direct3D 12 or Metal driver for webgpu; for cuda run `ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js` in the project, which downloads its libraries. The CPU works without.' });
    return {
      winnow: version, node: process.versions.node, platform: `${process.platform}-${process.arch}`, cpus: cpus().length, memoryTotal: totalmem(), memoryFree: Math.floor(Math.min(availableMemory(), totalmem()) || freemem()),
      onnxruntime: runtime ?? 'not installed', io: { mmap: mapper !== null, reason }, dataFolder: context.dataFolder,
      providers: probes.map(({ provider, available, reason: why }) => ({ id: provider, available, reason: available ? null : why })), missing,
    };
  },
  text: doctorText,
};

function doctorText(output: DoctorJson): string {
  const facts = [
    `winnow ${output.winnow}, Node ${output.node}, ${output.platform}, onnxruntime ${output.onnxruntime}`,
    `${output.cpus} cores, ${formatBytes(output.memoryFree)} of ${formatBytes(output.memoryTotal)} memory free`,
    `files: ${output.io.mmap ? 'mapped where they are local' : `read (${output.io.reason ?? 'no maps'})`}`,
    `benchmark texts: ${output.dataFolder ?? 'no folder named; the sample ships with Winnow'}`,
    ...output.providers.map(({ id, available, reason }) => `provider ${id}: ${available ? 'works' : reason ?? 'not available'}`),
  ];
  return [...facts, '', ...(output.missing.length === 0 ? ['nothing is missing'] : output.missing.map(({ what, how }) => `missing: ${what}\n  ${how}`))].join('\n');
}
