import { moduleOf, type Packing } from './pieces';

/** The version of compressed-tensors whose layout this is, and that the written files were read with. */
export const LAYOUT_VERSION = '0.12.2';

/**
 * config.json's text with `quantization_config.sparsity_config`, as compressed-tensors writes it: `targets` are exactly the modules that
 * are packed.
 *
 * @param weights names of the packed weights
 * @param sparsity zeros over all parameters
 */
export function configWithSparsity(text: string, packing: Packing, weights: readonly string[], sparsity: number): string {
  const config: unknown = JSON.parse(text);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return text;
  const { quantization_config: old } = config as { quantization_config?: unknown };
  const sparsityConfig = {
    format: packing, global_sparsity: sparsity, ignore: [], registry_requires_subclass: false,
    sparsity_structure: packing === 'sparse-24-bitmask' ? '2:4' : 'unstructured', targets: weights.map(moduleOf),
  };
  const quantization = { quant_method: 'compressed-tensors', version: LAYOUT_VERSION, transform_config: {}, ...(typeof old === 'object' && old !== null ? old : {}), sparsity_config: sparsityConfig };
  return `${JSON.stringify({ ...config, quantization_config: quantization }, null, 2)}\n`;
}
