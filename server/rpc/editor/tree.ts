/** Rows of the layer tree: groups, tensors below the expanded ones, filtered and sorted. Only the rows asked for are made. */
import type { NodeId, Params, Result, Row } from '../../protocol/editor';
import type { StatsNumbers } from '../../protocol/verbs';
import { shownDtype } from '../../core/tensor/tensorInfo';
import { bytesOf, counted, elementsOf, heatRow, type ModelView, type ViewGroup, type ViewTensor } from './view';

type Sort = Params<'rows'>['sort'];
type Shape = Pick<Params<'rows'>, 'expanded' | 'filter' | 'sort'>;
/** Numbers of a set of tensors; null until all of them are scanned. */
export type StatsOf = (tensors: readonly ViewTensor[]) => StatsNumbers | null;

/** More rows than any screen shows. */
export const MAX_ROWS = 500;
const MAX_PARTS = 16;

interface Line { readonly group: ViewGroup; readonly tensor: ViewTensor | null; readonly shown: number; readonly expanded: boolean }

/** Rows [from, to) of the tree, at most MAX_ROWS, and how many there are in all. */
export function rowsOf(view: ModelView, params: Params<'rows'>, statsOf: StatsOf): Result<'rows'> {
  const lines = layOut(view, params);
  const from = Math.max(0, Math.min(Math.trunc(params.from) || 0, lines.length)), to = Math.min(lines.length, Math.max(from, Math.trunc(params.to) || 0), from + MAX_ROWS);
  return { total: lines.length, rows: lines.slice(from, to).map((line) => toRow(line, statsOf)) };
}

/** Where a node stands once its group is expanded too. A heat cell stands for its largest tensor. */
export function locate(view: ModelView, params: Params<'locate'>): Result<'locate'> {
  const tensors = params.id.startsWith('g:') ? null : view.tensorsOf(params.id);
  const tensor = tensors && tensors.length > 0 && params.id !== 'all' && params.id !== 'prunable' ? tensors.reduce((a, b) => (b.info.elements > a.info.elements ? b : a)) : null;
  const id = tensor?.id ?? params.id, group = tensor ? `g:${tensor.role.group}` : null;
  const index = layOut(view, { ...params, expanded: group ? [...params.expanded, group] : params.expanded }).findIndex((line) => (line.tensor?.id ?? line.group.id) === id);
  return { id, group, index: index < 0 ? null : index };
}

function layOut(view: ModelView, { expanded, filter, sort }: Shape): Line[] {
  const open = new Set(expanded), wanted = filter.trim().toLowerCase();
  const groups = sorted(view.groups, sort, (group) => elementsOf(counted(group.tensors)), (group) => group.name);
  const lines: Line[] = [];
  for (const group of groups) {
    const whole = wanted === '' || group.name.toLowerCase().includes(wanted);
    const matching = whole ? group.tensors : group.tensors.filter(({ info }) => info.name.toLowerCase().includes(wanted));
    if (matching.length === 0) continue;
    // What a filter found is shown without another click, unless the group itself is what was meant.
    const isOpen = open.has(group.id) || !whole;
    lines.push({ group, tensor: null, shown: matching.length, expanded: isOpen });
    if (isOpen) for (const tensor of sorted(matching, sort, ({ info }) => info.elements, ({ info }) => info.name)) lines.push({ group, tensor, shown: 0, expanded: false });
  }
  return lines;
}

function sorted<T>(items: readonly T[], sort: Sort, size: (item: T) => number, name: (item: T) => string): readonly T[] {
  if (sort === 'parameters') return items.map((item) => ({ item, key: size(item) })).sort((a, b) => b.key - a.key).map(({ item }) => item);
  if (sort === 'name') return [...items].sort((a, b) => byName.compare(name(a), name(b)));
  return items;
}
/** h.2 before h.10. */
const byName = new Intl.Collator('en', { numeric: true });

function toRow({ group, tensor, shown, expanded }: Line, statsOf: StatsOf): Row {
  if (tensor) {
    const { info, role } = tensor;
    return {
      id: tensor.id, label: labelOf(info.name, group.name), depth: 1, kind: 'tensor', children: 0, expanded: false,
      parameters: info.elements, bytes: info.to - info.from, prunable: role.prunable, dtype: shownDtype(info), shape: [...info.shape], role: heatRow(role), layer: role.layer, stats: statsOf([tensor]), parts: [],
    };
  }
  const tensors = counted(group.tensors), dtypes = new Set(tensors.map(({ info }) => shownDtype(info)));
  const largest = new Set([...tensors].sort((a, b) => b.info.elements - a.info.elements).slice(0, MAX_PARTS));
  const members = tensors.filter((member) => largest.has(member)), parts: NodeId[] = members.map(({ id }) => id);
  return {
    id: group.id, label: group.name, depth: 0, kind: 'group', children: shown, expanded, parameters: elementsOf(tensors), bytes: bytesOf(group.tensors), prunable: tensors.some(({ role }) => role.prunable),
    dtype: dtypes.size === 1 ? [...dtypes][0] : 'mixed', shape: null, role: null, layer: group.layer, stats: statsOf(tensors), parts, partParameters: members.map(({ info }) => info.elements),
  };
}

/** `transformer.h.0.attn.c_attn.weight` in group `h.0` is `attn.c_attn.weight`. */
function labelOf(name: string, group: string): string {
  const at = `.${name}`.indexOf(`.${group}.`);
  return at < 0 ? name : name.slice(at + group.length + 1);
}
