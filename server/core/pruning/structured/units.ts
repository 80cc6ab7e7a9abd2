import { CheckpointError } from '../../errors';
import { layerName } from '../../models/contract';
import type { Model, StructureKeys, TensorRole } from '../../models/contract';
import { ConfigReader } from '../../models/graphConfig';
import type { TensorInfo } from '../../tensor/tensorInfo';

/** The part of one tensor that its units share: unit `u` has the items [offset + u x size, offset + (u + 1) x size) of `axis`, at every offset. */
export interface UnitPart {
  readonly info: TensorInfo;
  readonly axis: number;
  readonly size: number;
  readonly offsets: readonly number[];
  /** The matrix whose inputs are the units: what they pass on. */
  readonly out: boolean;
}

/** Heads or neurons that stand for each other: some stay and the rest goes, of all parts alike. */
export interface UnitGroup {
  /** For people: `3`, `encoder 3`. */
  readonly block: string;
  readonly units: number;
  readonly parts: readonly UnitPart[];
}

/** Bodies of the tensors that make attention or an MLP of one block: those whose names share everything but the last part. */
interface Module { readonly role: TensorRole; readonly matrices: readonly { readonly info: TensorInfo; readonly role: TensorRole }[] }

/** The name that a matrix's module has: `h.0.attn` of `h.0.attn.c_attn.weight`; an MLP of BERT is spread over two, so its block counts. */
function modulesOf(model: Model, wanted: (role: TensorRole['role']) => boolean, byBlock: boolean): Module[] {
  const modules = new Map<string, { role: TensorRole; matrices: { info: TensorInfo; role: TensorRole }[] }>();
  model.checkpoint.tensors.forEach((info, i) => {
    const role = model.roles[i];
    if (role.layer === null || !wanted(role.role) || info.shape.length !== 2 || role.orientation === null) return;
    const key = byBlock ? `${role.stack ?? ''} ${role.layer}` : info.name.replace(/\.[^.]+\.weight$/, '');
    const module = modules.get(key) ?? { role, matrices: [] };
    module.matrices.push({ info, role });
    modules.set(key, module);
  });
  return [...modules.values()];
}

/** The axis of a matrix along which its outputs (or inputs) run. */
const axisOf = (role: TensorRole, side: 'outputs' | 'inputs'): number => ((role.orientation === 'out-in') === (side === 'outputs') ? 0 : 1);

/** Parts of a matrix's outputs and of its bias, where that is stored. */
function outputParts(model: Model, { info, role }: Module['matrices'][number], size: number, offsets: readonly number[]): UnitPart[] {
  const bias = model.checkpoint.tensors.find(({ name }) => name === info.name.replace(/weight$/, 'bias'));
  return [{ info, axis: axisOf(role, 'outputs'), size, offsets, out: false }, ...(bias ? [{ info: bias, axis: 0, size, offsets, out: false }] : [])];
}

const structureOf = (model: Model): StructureKeys => {
  if (!model.architecture?.structure) {
    throw new CheckpointError('unsupported-structure', { file: model.checkpoint.path }, `${model.architecture?.title ?? 'an unknown architecture'}: its blocks cannot be made smaller`);
  }
  return model.architecture.structure;
};

/** @throws CheckpointError `unsupported-structure`, `no-config` */
export function requireStructure(model: Model): { readonly keys: StructureKeys; readonly config: ConfigReader } {
  const keys = structureOf(model);
  return { keys, config: ConfigReader.of(model.checkpoint) };
}

function checkSize(info: TensorInfo, axis: number, wanted: number): void {
  if (info.shape[axis] !== wanted) throw new CheckpointError('tensor-shape-differs', { tensor: info.name }, `axis ${axis} of [${info.shape.join(', ')}] is not ${wanted}`);
}

/**
 * The neurons of every MLP: a row of `up` (and `gate`) with its bias and the column of `down` that reads it.
 *
 * @throws CheckpointError `unsupported-structure` where the configuration cannot say another width, or MLPs are experts
 */
export function neuronGroups(model: Model): readonly UnitGroup[] {
  const { keys } = requireStructure(model);
  const refuse = (why: string): never => { throw new CheckpointError('unsupported-structure', { file: model.checkpoint.path }, `${model.architecture!.title}: ${why}`); };
  if (keys.inner === null) refuse('its configuration cannot say another width of the MLP');
  const modules = modulesOf(model, (role) => role === 'mlp.up' || role === 'mlp.gate' || role === 'mlp.down', true);
  const groups = modules.map(({ role, matrices }): UnitGroup => {
    const down = matrices.filter((one) => one.role.role === 'mlp.down'), ups = matrices.filter((one) => one.role.role !== 'mlp.down');
    if (down.length !== 1 || ups.length === 0) return refuse(`block ${role.layer} has ${ups.length} matrices into its MLP and ${down.length} out of it`);
    const axis = axisOf(down[0].role, 'inputs'), units = down[0].info.shape[axis];
    for (const up of ups) checkSize(up.info, axisOf(up.role, 'outputs'), units);
    return { block: layerName(role, role.layer!), units, parts: [...ups.flatMap((up) => outputParts(model, up, 1, [0])), { info: down[0].info, axis, size: 1, offsets: [0], out: true }] };
  });
  if (groups.length === 0 || groups.some(({ units }) => units !== groups[0].units)) refuse('its blocks have MLPs of different widths, or none');
  return groups;
}

/**
 * The heads of every attention. With grouped queries a unit is a head of keys and values with the queries that read it. Where a stack
 * shares one bias over relative positions among its blocks (T5), the same heads go in all of them.
 *
 * @returns the groups, and what one unit is in the configuration's counts
 * @throws CheckpointError `unsupported-structure`
 */
export function headGroups(model: Model): { readonly groups: readonly UnitGroup[]; readonly headDim: number; readonly headsPerUnit: number; readonly keyValueHeads: boolean } {
  const { keys, config } = requireStructure(model), { tensors } = model.checkpoint;
  const refuse = (why: string): never => { throw new CheckpointError('unsupported-structure', { file: model.checkpoint.path }, `${model.architecture!.title}: ${why}`); };
  const names = keys.heads ?? refuse('its configuration cannot say another number of heads at the same width');
  const modules = modulesOf(model, (role) => role.startsWith('attention.'), false);
  const outOf = ({ matrices }: Module): Module['matrices'][number] => matrices.find((one) => one.role.role === 'attention.out') ?? refuse('a block has no matrix out of its attention');
  if (modules.length === 0) refuse('no attention was found');
  const heads = config.count(names.heads), first = outOf(modules[0]), wide = first.info.shape[axisOf(first.role, 'inputs')];
  if (wide % heads) config.refuse(names.heads, `does not divide the ${wide} inputs of ${first.info.name}`);
  const headDim = wide / heads, stored = names.keyValueHeads && config.has(names.keyValueHeads) ? config.count(names.keyValueHeads) : heads;
  // One head of keys and values for all queries stays; the queries that read it can go one by one.
  const grouped = stored > 1 && stored < heads, units = stored === 1 ? heads : stored, headsPerUnit = heads / units;

  const shared = tensors.filter(({ name }) => name.endsWith('.relative_attention_bias.weight'));
  const groups = new Map<string, { block: string; parts: UnitPart[] }>();
  for (const module of modules) {
    const { role } = module, out = outOf(module), size = headDim * headsPerUnit, axis = axisOf(out.role, 'inputs');
    checkSize(out.info, axis, wide);
    const parts: UnitPart[] = [{ info: out.info, axis, size, offsets: [0], out: true }];
    for (const one of module.matrices) {
      const outputs = one.info.shape[axisOf(one.role, 'outputs')];
      if (one.role.role === 'attention.query') { checkSize(one.info, axisOf(one.role, 'outputs'), wide); parts.push(...outputParts(model, one, size, [0])); }
      else if (one.role.role === 'attention.qkv') {
        if (outputs !== 3 * wide) refuse(`${one.info.name} holds ${outputs} outputs, not three times ${wide}`);
        parts.push(...outputParts(model, one, size, [0, wide, 2 * wide]));
      } else if (one !== out && stored > 1) { checkSize(one.info, axisOf(one.role, 'outputs'), stored * headDim); parts.push(...outputParts(model, one, headDim, [0])); }
    }
    // The bias lies in the first self-attention of a stack and is (buckets, heads).
    const self = shared.length > 0 && !/EncDecAttention/.test(out.info.name), key = self ? role.stack ?? '' : out.info.name;
    const group = groups.get(key) ?? { block: self ? `${role.stack} (all)` : `${layerName(role, role.layer!)}${shared.length > 0 ? ' cross' : ''}`, parts: [] };
    group.parts.push(...parts);
    if (self) group.parts.push(...shared.filter(({ name }) => name.startsWith(out.info.name.replace(/\.[^.]+\.weight$/, '.'))).map((info) => ({ info, axis: 1, size: 1, offsets: [0], out: false })));
    groups.set(key, group);
  }
  return { groups: [...groups.values()].map((group) => ({ ...group, units })), headDim, headsPerUnit, keyValueHeads: grouped || (stored > 1 && names.keyValueHeads !== undefined) };
}
