import { benchmarks, locateBenchmark } from '../../core/evaluation/benchmarks';
import { protocols } from '../../core/evaluation/protocols';
import { formats } from '../../core/formats/registry';
import { architectures } from '../../core/models/registry';
import { pruningMethods } from '../../core/pruning/registry';
import { providers } from '../../core/runtime/contract';
import type { Provider } from '../../core/runtime/contract';
import { probeProviders } from '../../core/runtime/providers';
import type { CatalogJson } from '../../protocol/verbs';
import { table } from '../table';
import type { Verb } from './contract';

/** What each provider is, for a person. */
export const providerTitles: Readonly<Record<Provider, readonly [title: string, summary: string]>> = {
  cpu: ['CPU', 'ONNX Runtime on the processor; works everywhere.'],
  webgpu: ['WebGPU', 'Any GPU with a Vulkan, Direct3D 12 or Metal driver.'],
  cuda: ['CUDA', 'NVIDIA GPUs, with the CUDA libraries installed.'],
  dml: ['DirectML', 'GPUs on Windows.'],
  coreml: ['Core ML', 'Apple machines; may compute in half precision.'],
};

/** `winnow catalog`: everything that can be named in a command, a recipe or a setting. */
export const catalog: Verb<'catalog'> = {
  name: 'catalog',
  usage: '[--data FOLDER]',
  summary: 'List the formats, methods, architectures, benchmarks, protocols and providers that there are.',
  flags: [],
  positional: [0, 0],

  async *run(_args, context) {
    const found = new Map<Provider, { available: boolean; reason: string }>();
    for (const [index, provider] of providers.entries()) {
      yield { stage: 'trying providers', done: index, total: providers.length, unit: 'providers', note: provider };
      for (const probe of await probeProviders([provider])) found.set(probe.provider, probe);
    }
    return {
      formats: formats.map(({ id, title, extensions, writable }) => ({ id, title, summary: `Files named ${extensions.map((extension) => `*${extension}`).join(', ')}.`, extensions: [...extensions], writable })),
      methods: pruningMethods.map(({ id, title, summary, scopes, defaultScope, patterns, allocations, needs, parameters, source }) => ({ id, title, summary, scopes: [...scopes], defaultScope, patterns: [...patterns], allocations: [...allocations], needsCalibration: needs !== null, parameters: [...parameters], source })),
      architectures: architectures.map(({ id, title, kind, modelTypes, buildGraph }) => ({ id, title, summary: `model_type ${modelTypes.join(', ')}.`, kind, evaluates: buildGraph !== null })),
      benchmarks: benchmarks.map((benchmark) => ({
        id: benchmark.id, title: benchmark.title, summary: `${benchmark.title}.`, available: locateBenchmark(benchmark, context.dataFolder) !== null, note: benchmark.note,
      })),
      protocols: protocols.map(({ id, title, summary, kind, metric }) => ({ id, title, summary, kind, metric })),
      providers: providers.map((id) => {
        const [title, summary] = providerTitles[id], probe = found.get(id);
        return { id, title, summary, available: probe?.available ?? false, reason: probe?.available ? null : probe?.reason ?? 'not tried' };
      }),
    };
  },
  text: catalogText,
};

const methodWords = ({ scopes, defaultScope, patterns, allocations, parameters }: CatalogJson['methods'][number]): string => [
  `scopes ${scopes.join(', ')} (default ${defaultScope})`, `patterns ${patterns.join(', ')}`, `allocations ${allocations.join(', ')}`, ...parameters.map(({ name, fallback }) => `--${name} (default ${fallback})`),
].join('; ');

function catalogText(output: CatalogJson): string {
  const section = (name: string, rows: readonly (readonly [string, string, string])[]): string =>
    `${name}\n${table([{ title: '  id', align: 'left' }, { title: 'what', align: 'left' }, { title: '', align: 'left' }], rows.map(([id, title, rest]) => [`  ${id}`, title, rest]))}`;
  const there = (available: boolean, otherwise: string): string => available ? 'available' : otherwise;
  return [
    section('formats', output.formats.map((one) => [one.id, one.summary, one.writable ? 'read and written' : 'read'])),
    section('methods', output.methods.map((one) => [one.id, one.summary, methodWords(one)])),
    section('architectures', output.architectures.map((one) => [one.id, one.title, `${one.kind}${one.evaluates ? '' : ', not evaluated'}; ${one.summary}`])),
    section('benchmarks', output.benchmarks.map((one) => [one.id, one.title, there(one.available, 'not found (--data FOLDER)') + (one.note ? `; ${one.note}` : '')])),
    section('protocols', output.protocols.map((one) => [one.id, one.title, `${one.kind}, ${one.metric}`])),
    section('providers', output.providers.map((one) => [one.id, one.title, there(one.available, one.reason ?? 'not available')])),
  ].join('\n\n');
}
