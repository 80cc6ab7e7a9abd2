import { CheckpointError } from '../../errors';
import type { Checkpoint } from '../../formats/contract';
import type { Model, Stack } from '../../models/contract';

/** One row of blocks and which of them stay. */
export interface KeptBlocks { readonly stack: Stack | null; readonly key: string; readonly blocks: number; readonly kept: readonly number[] }

/** Keys of configurations that speak of single blocks by their number, and so would speak of others once some are gone. */
const BY_NUMBER = ['mlp_only_layers', 'scale_attn_by_inverse_layer_idx', 'attention_layers', 'cross_attention_layers', 'no_rope_layers', 'moe_layers'] as const;

/**
 * The checkpoint without the other blocks; those that stay are numbered anew. Lists of the configuration with one entry a block lose the
 * entries of the blocks that go. A bias over relative positions that lives in a stack's first block (T5) moves into the new first.
 *
 * @throws CheckpointError `unsupported-config` where the configuration speaks of blocks by number in a way that would change its meaning
 */
export function dropBlocks(model: Model, rows: readonly KeptBlocks[]): Checkpoint {
  const { checkpoint } = model, config = checkpoint.config ?? {};
  const gone = rows.some(({ blocks, kept }) => kept.length < blocks);
  const refuse = (key: string): never => { throw new CheckpointError('unsupported-config', { file: checkpoint.path, key }, `${key} is ${JSON.stringify(config[key])?.slice(0, 80)}: it speaks of blocks by their number`); };
  if (gone) for (const key of BY_NUMBER) if (config[key] !== undefined && config[key] !== null && config[key] !== false && !(Array.isArray(config[key]) && (config[key] as unknown[]).length === 0)) refuse(key);
  const alternates = ['gemma2', 'gemma3_text'].includes(String(config.model_type)) && !Array.isArray(config.layer_types);
  if (gone && alternates) refuse(config.sliding_window_pattern === undefined ? 'model_type' : 'sliding_window_pattern');
  if (gone && typeof config.decoder_sparse_step === 'number' && config.decoder_sparse_step !== 1) refuse('decoder_sparse_step');

  const changed: Record<string, unknown> = {};
  for (const { key, blocks, kept } of rows) {
    changed[key] = kept.length;
    if (rows.length > 1) continue;
    for (const [name, value] of Object.entries(config)) if (Array.isArray(value) && value.length === blocks && name !== 'architectures') changed[name] = kept.map((block) => value[block] as unknown);
    if (typeof config.max_window_layers === 'number') changed.max_window_layers = kept.filter((block) => block < (config.max_window_layers as number)).length;
  }
  const rowOf = (stack: Stack | undefined): KeptBlocks | undefined => rows.find((row) => row.stack === (stack ?? null));
  const tensors = checkpoint.tensors.flatMap((info, i) => {
    const { layer, stack, group } = model.roles[i], row = rowOf(stack);
    if (layer === null || !row) return [info];
    const shared = layer === 0 && info.name.endsWith('.relative_attention_bias.weight'), at = shared ? 0 : row.kept.indexOf(layer);
    return at < 0 ? [] : [{ ...info, name: renumbered(info.name, group, at) }];
  });
  return { ...checkpoint, tensors, config: { ...config, ...changed } };
}

/** `transformer.h.5.ln_1.weight` of the group `h.5` as that of block `at`. */
function renumbered(name: string, group: string, at: number): string {
  const from = name.indexOf(`${group}.`);
  if (from < 0) throw new CheckpointError('internal', { tensor: name }, `its group ${group} is no part of its name`);
  return `${name.slice(0, from)}${group.replace(/\d+$/, String(at))}${name.slice(from + group.length)}`;
}
