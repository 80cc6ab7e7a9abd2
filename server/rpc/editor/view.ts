/** A model as the editor sees it: groups in drawing order, the tensors below them, and which tensors each node stands for. */
import { roles, type Model, type Role, type TensorRole } from '../../core/models/contract';
import type { TensorInfo } from '../../core/tensor/tensorInfo';
import type { NodeId } from '../../protocol/editor';

/** One tensor that is shown: the kept one of a tied group. */
export interface ViewTensor { readonly info: TensorInfo; readonly role: TensorRole; readonly id: NodeId }
export interface ViewGroup { readonly id: NodeId; readonly name: string; readonly layer: number | null; readonly tensors: readonly ViewTensor[] }

export interface ModelView {
  readonly model: Model;
  readonly tensors: readonly ViewTensor[];
  readonly groups: readonly ViewGroup[];
  readonly heat: { readonly roles: readonly string[]; readonly layers: readonly number[]; readonly cells: ReadonlyMap<NodeId, readonly ViewTensor[]> };
  /** The tensors a node stands for; null for a node that does not exist. Buffers are in no set but their own. */
  tensorsOf(id: NodeId): readonly ViewTensor[] | null;
}

/** The row of the heatmap that a tensor is in: its role, an encoder's and a decoder's apart. */
export const heatRow = ({ role, stack }: TensorRole): string => (stack ? `${stack} ${role}` : role);
/** Id of a cell of the heatmap. */
export const cellId = (role: string, layer: number): NodeId => `c:${role}|${layer}`;
export const elementsOf = (tensors: readonly ViewTensor[]): number => tensors.reduce((sum, { info }) => sum + info.elements, 0);
export const bytesOf = (tensors: readonly ViewTensor[]): number => tensors.reduce((sum, { info }) => sum + info.to - info.from, 0);

/** Buffers are shown but count nowhere; a group of nothing but buffers stands for them. */
export function counted(tensors: readonly ViewTensor[]): readonly ViewTensor[] {
  const parameters = tensors.filter(({ role }) => role.parameter);
  return parameters.length > 0 ? parameters : tensors;
}

/** Lays a model out for the editor. Cheap: names and shapes only. */
export function makeView(model: Model): ModelView {
  const stored = new Set(model.checkpoint.tensors.map(({ name }) => name));
  const copies = new Set<string>();
  // The first stored name of a tied group is shown; the config may tie a name that is not stored.
  for (const names of model.tied) for (const name of names.filter((candidate) => stored.has(candidate)).slice(1)) copies.add(name);
  const tensors: ViewTensor[] = [];
  model.checkpoint.tensors.forEach((info, i) => { if (!copies.has(info.name)) tensors.push({ info, role: model.roles[i], id: `t:${info.name}` }); });

  const byGroup = new Map<string, ViewTensor[]>();
  for (const tensor of tensors) {
    const list = byGroup.get(tensor.role.group);
    if (list) list.push(tensor); else byGroup.set(tensor.role.group, [tensor]);
  }
  const inDecoder = (group: ViewGroup): number => Number(group.tensors[0].role.stack === 'decoder');
  // Files are often sorted by name (h.0, h.1, h.10): the order of the model is embeddings, positions, blocks by number, the rest.
  const rank = ({ role }: ViewTensor): number => (role.layer !== null ? 1 : role.role === 'embedding' ? 0 : role.role === 'position' ? 0.5 : 2);
  const groups = [...byGroup].map(([name, members], at) => ({ group: { id: `g:${name}`, name, layer: members[0].role.layer, tensors: members }, at, rank: rank(members[0]) }))
    .sort((a, b) => a.rank - b.rank || inDecoder(a.group) - inDecoder(b.group) || (a.group.layer ?? 0) - (b.group.layer ?? 0) || a.at - b.at).map(({ group }) => group);

  // The heatmap shows matrices: vectors are a thousandth of a model and would be most of its cells.
  const cells = new Map<NodeId, ViewTensor[]>();
  const roleOrder: string[] = [], layers = new Set<number>();
  for (const group of groups) for (const tensor of group.tensors) {
    const { layer } = tensor.role, role = heatRow(tensor.role);
    if (layer === null || tensor.info.shape.length < 2 || !tensor.role.parameter) continue;
    const id = cellId(role, layer), list = cells.get(id);
    if (list) list.push(tensor); else cells.set(id, [tensor]);
    if (!roleOrder.includes(role)) roleOrder.push(role);
    layers.add(layer);
  }
  // The contract lists roles from the input of a block to its output; a decoder's come after its encoder's.
  const order = (row: string): number => (row.startsWith('decoder ') ? 100 : 0) + roles.indexOf((row.split(' ').at(-1) ?? '') as Role);
  roleOrder.sort((a, b) => order(a) - order(b));

  const groupById = new Map(groups.map((group) => [group.id, group])), tensorById = new Map(tensors.map((tensor) => [tensor.id, tensor]));
  const all = tensors.filter(({ role }) => role.parameter), prunable = tensors.filter(({ role }) => role.prunable);
  return {
    model, tensors, groups, heat: { roles: roleOrder, layers: [...layers].sort((a, b) => a - b), cells },
    tensorsOf(id) {
      if (id === 'all') return all;
      if (id === 'prunable') return prunable;
      if (id.startsWith('c:')) return cells.get(id) ?? null;
      if (id.startsWith('g:')) { const group = groupById.get(id); return group ? counted(group.tensors) : null; }
      const tensor = tensorById.get(id);
      return tensor ? [tensor] : null;
    },
  };
}
