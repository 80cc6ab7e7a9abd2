/** Checks of single recipe values. Each answers with the value or with what is wrong; ranges are the caller's node. */
import { isMap, isScalar, isSeq, type Node } from 'yaml';
import type { RecipeCalibration } from './recipe';

/** What a check found: where (the node, or the whole value when null) and one sentence that names the allowed range. */
export interface Complaint { readonly node: Node | null; readonly message: string; readonly severity?: 'warning' }
export type Complain = (node: Node | null, message: string, severity?: 'warning') => void;

/** At most this many entries in any list of a recipe; more is a mistake, not a plan. */
export const MAX_LIST = 1000;

const sourceOf = (node: Node): string => (isScalar(node) ? (node.source ?? String(node.value)) : isSeq(node) ? 'a list' : isMap(node) ? 'a map' : 'this');

/** A sparsity as a fraction 0..1; 0 changes nothing, 1 zeroes everything (a warning). */
export function readLevel(node: Node, key: string, complain: Complain): number | null {
  const range = `${key} takes fractions from 0 to 1, such as 0.5`;
  if (!isScalar(node) || node.value === null) { complain(node, `${range}; ${isScalar(node) ? 'nothing' : sourceOf(node)} is not a number.`); return null; }
  const { value } = node;
  if (typeof value === 'string') {
    const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value), comma = /^\s*(\d+),(\d+)\s*$/.exec(value);
    if (percent) complain(node, `${range}; write ${Number(percent[1]) / 100} for ${value.trim()}.`);
    else if (comma) complain(node, `${range}; write ${comma[1]}.${comma[2]} with a point for "${value.trim()}".`);
    else if (value.trim() !== '' && Number.isFinite(Number(value))) complain(node, `${range}; "${value}" is text: take the quotes away.`);
    else complain(node, `${range}; "${value}" is not a number.`);
    return null;
  }
  if (typeof value !== 'number') { complain(node, `${range}; ${sourceOf(node)} is not a number.`); return null; }
  if (!Number.isFinite(value)) { complain(node, `${range}; ${sourceOf(node)} is not finite.`); return null; }
  if (value < 0) { complain(node, `${range}; ${sourceOf(node)} is below 0.`); return null; }
  if (value > 1) { complain(node, `${range}; ${sourceOf(node)} is above 1${value <= 100 ? `: write ${value / 100} for ${value} %` : ''}.`); return null; }
  if (value === 1) complain(node, `${key} 1 zeroes every weight in scope.`, 'warning');
  return value;
}

/** One value or a list of values, each read by `read`. Null when any of them is wrong. */
export function readList<T>(node: Node, key: string, complain: Complain, read: (item: Node) => T | null): { items: T[]; nodes: Node[] } | null {
  const nodes = isSeq(node) ? (node.items as Node[]) : [node];
  if (nodes.length > MAX_LIST) { complain(node, `${key} takes at most ${MAX_LIST} entries; ${nodes.length} are given.`); return null; }
  const items: T[] = [];
  let sound = true;
  for (const item of nodes) {
    const value = read(item);
    if (value === null) sound = false;
    else items.push(value);
  }
  return sound ? { items, nodes } : null;
}

/** Text that is not blank; null after a complaint. */
export function readText(node: Node, key: string, complain: Complain): string | null {
  if (isScalar(node) && typeof node.value === 'string' && node.value.trim() !== '') return node.value;
  complain(node, `${key} takes text; ${isScalar(node) && (node.value === null || node.value === '') ? 'nothing is given' : `${sourceOf(node)} is not text`}.`);
  return null;
}

/** A whole number in [least, most]; null after a complaint. */
export function readWhole(node: Node, key: string, least: number, most: number, complain: Complain): number | null {
  if (isScalar(node) && typeof node.value === 'number' && Number.isSafeInteger(node.value) && node.value >= least && node.value <= most) return node.value;
  complain(node, `${key} takes a whole number from ${least} to ${most}; ${isScalar(node) && node.value === null ? 'nothing is given' : `${sourceOf(node)} is not one`}.`);
  return null;
}

/** true or false; null after a complaint. */
export function readSwitch(node: Node, key: string, complain: Complain): boolean | null {
  if (isScalar(node) && typeof node.value === 'boolean') return node.value;
  complain(node, `${key} takes true or false; ${isScalar(node) && node.value === null ? 'nothing is given' : `${sourceOf(node)} is neither`}.`);
  return null;
}

/** A number in [least, most]; null after a complaint. */
export function readNumber(node: Node, key: string, least: number, most: number, complain: Complain): number | null {
  if (isScalar(node) && typeof node.value === 'number' && node.value >= least && node.value <= most) return node.value;
  const range = most === Number.MAX_VALUE ? (least > 0 ? 'above 0' : `from ${least} up`) : `from ${least} to ${most}`;
  complain(node, `${key} takes a number ${range}; ${isScalar(node) && node.value === null ? 'nothing is given' : `${sourceOf(node)} is not one`}.`);
  return null;
}

/** `uniform`, `owl`, or a map from globs to fractions, the first that matches a tensor first: as words of the command line. */
export function readAllocation(node: Node, complain: Complain): string[] | null {
  const range = 'allocation takes uniform, owl, or a map of globs such as {"*.mlp.*": 0.6}';
  if (isScalar(node) && (node.value === 'uniform' || node.value === 'owl')) return [node.value];
  if (!isMap(node)) { complain(node, `${range}; ${sourceOf(node)} is none of them.`); return null; }
  if (node.items.length === 0 || node.items.length > MAX_LIST) { complain(node, `${range}, with 1 to ${MAX_LIST} entries; ${node.items.length} are given.`); return null; }
  const words: string[] = [];
  let sound = true;
  for (const { key, value } of node.items as { key: Node; value: Node | null }[]) {
    const glob = readText(key, 'allocation', complain);
    if (value === null) complain(key, 'allocation takes a fraction for each glob; nothing is given.');
    const sparsity = value && readLevel(value, 'allocation', complain);
    if (glob === null || sparsity === null) sound = false;
    else words.push(`${glob}=${sparsity}`);
  }
  return sound ? words : null;
}

/** A map of `text` (train, valid or a file), `samples`, `length` and `oneShot`, each of them optional. */
export function readCalibration(node: Node, complain: Complain): RecipeCalibration | null {
  const range = 'calibration takes a map of text, samples, length and oneShot';
  if (!isMap(node)) { complain(node, `${range}; ${sourceOf(node)} is not one.`); return null; }
  const found: { text?: string; samples?: number; length?: number; oneShot?: boolean } = {};
  for (const { key, value } of node.items as { key: Node; value: Node | null }[]) {
    const name = isScalar(key) ? String(key.value) : '';
    if (value === null) complain(key, `calibration.${name} takes a value; nothing is given.`);
    else if (name === 'text') found.text = readText(value, 'calibration.text', complain) ?? undefined;
    else if (name === 'samples') found.samples = readWhole(value, 'calibration.samples', 1, 1 << 20, complain) ?? undefined;
    else if (name === 'length') found.length = readWhole(value, 'calibration.length', 2, 1 << 24, complain) ?? undefined;
    else if (name === 'oneShot') found.oneShot = readSwitch(value, 'calibration.oneShot', complain) ?? undefined;
    else complain(key, `${range}; ${name || sourceOf(key)} is none of them.`);
  }
  return found;
}

/** `unstructured`; `N:M` that keeps N of every M consecutive inputs, 0 < N < M; or `RxC`, blocks of R outputs and C inputs. */
export function readPattern(node: Node, complain: Complain): string | null {
  const range = 'pattern takes unstructured, keep:of such as 2:4 (quoted) with 0 < keep < of, or a block such as 16x16';
  const value = isScalar(node) ? node.value : null;
  if (value === 'unstructured') return value;
  const block = typeof value === 'string' ? /^\s*([1-9]\d{0,3})x([1-9]\d{0,3})\s*$/.exec(value) : null;
  if (block && Math.max(Number(block[1]), Number(block[2])) <= 4096 && Number(block[1]) * Number(block[2]) > 1) return `${block[1]}x${block[2]}`;
  const match = typeof value === 'string' ? /^\s*(\d{1,4})\s*:\s*(\d{1,4})\s*$/.exec(value) : null;
  if (!match) { complain(node, `${range}; ${sourceOf(node)} is neither.`); return null; }
  const keep = Number(match[1]), of = Number(match[2]);
  if (keep <= 0 || keep >= of) { complain(node, `${range}; ${keep}:${of} ${keep === of ? 'removes nothing' : keep === 0 ? 'keeps nothing' : 'keeps more than there is'}.`); return null; }
  return `${keep}:${of}`;
}
