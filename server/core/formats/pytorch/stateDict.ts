import type { OpaqueEntry } from '../contract';
import { PickleError } from './pickle';
import { oldTensor } from './torchObjects';
import { PyDict, PyGlobal, PyList, PyObject, PySet, PyStorage, PyTensor, PyTuple, type PyValue } from './pickleValues';

/** A tensor with the name it has inside the part of the file that is the model. */
export interface NamedTensor { readonly name: string; readonly tensor: PyTensor }

export interface FoundState {
  readonly model: readonly NamedTensor[];
  /** Keys that lead to the model, e.g. `state_dict`; empty when the file is the model. */
  readonly path: readonly string[];
  /** Tensors of the rest: optimizer moments, counters, other copies. */
  readonly others: readonly { readonly name: string; readonly tensor: PyTensor; readonly section: 'model' | 'optimizer' }[];
  /** Things that are no tensors. */
  readonly objects: readonly OpaqueEntry[];
}

/** Keys under which trainers put the model, most telling first. */
const MODEL_KEYS = ['model_state_dict', 'state_dict', 'model_state', 'model', 'module', 'net', 'network', 'params', 'weights'];
const OPTIMIZER_KEY = /optim|scheduler|scaler|^momentum|exp_avg/i;

/** Nesting that is followed, and how many things that are no tensors are named. */
const MAX_DEPTH = 64;
const MAX_OBJECTS = 1000;
/** Names are joined from the keys on the way. */
const MAX_NAME = 20_000;

/** Finds the model in what a checkpoint holds: the dictionary that a trainer's keys name, else everything but the optimizer. */
export function findState(root: PyValue): FoundState {
  const path: string[] = [];
  let part = root;
  while (part instanceof PyDict && path.length < 4) {
    const { entries } = part as PyDict;
    // A state dictionary holds tensors under these names, never dictionaries; a trainer's may hold a tensor (its random state) beside it.
    const key = MODEL_KEYS.find((one) => holdsTensors(entries.get(one) ?? null));
    if (key === undefined) break;
    path.push(key);
    part = entries.get(key) as PyValue;
  }
  const walk = new Walk();
  if (path.length === 0) {
    walk.visit(part, [], 'model', 0);
    return { ...walk.found, path };
  }
  walk.visit(part, [], 'model', 0);
  const model = walk.found.model;
  // What is beside the model, by its full path.
  const rest = new Walk(walk.seen);
  rest.visit(root, [], 'beside', 0);
  return { model, path, others: rest.found.others, objects: [...walk.found.objects, ...rest.found.objects] };
}

const tensorOf = (value: PyValue): PyTensor | null => (value instanceof PyTensor ? value : value instanceof PyObject ? oldTensor(value) : null);

/** True when a dictionary or module reaches a tensor within a few steps. */
function holdsTensors(value: PyValue, depth = 0, seen: Set<PyValue> = new Set()): boolean {
  if (tensorOf(value)) return true;
  if (depth > 6 || seen.has(value)) return false;
  if (!(value instanceof PyDict) && !(value instanceof PyObject)) return false;
  seen.add(value);
  if (value instanceof PyDict) return [...value.entries.values()].some((item) => holdsTensors(item, depth + 1, seen));
  return holdsTensors(value.dict, depth + 1, seen) || (value.state instanceof PyDict && holdsTensors(value.state, depth + 1, seen));
}

type Section = 'model' | 'optimizer' | 'beside';

class Walk {
  private readonly model: NamedTensor[] = [];
  private readonly others: { name: string; tensor: PyTensor; section: 'model' | 'optimizer' }[] = [];
  private readonly objects: OpaqueEntry[] = [];

  /** Containers are entered once: a pickle may refer to one a million times, or to itself. */
  constructor(readonly seen: Set<PyValue> = new Set()) {}

  get found(): Omit<FoundState, 'path'> {
    return { model: this.model, others: this.others, objects: this.objects };
  }

  visit(value: PyValue, path: readonly string[], section: Section, depth: number): void {
    const tensor = tensorOf(value);
    if (tensor) {
      const name = path.join('.') || 'tensor';
      if (section === 'model') this.model.push({ name, tensor });
      else this.others.push({ name, tensor, section: section === 'optimizer' ? 'optimizer' : 'model' });
      return;
    }
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array || value instanceof PyGlobal || value instanceof PyStorage) { this.leaf(value, path, section); return; }
    if (this.seen.has(value) || depth > MAX_DEPTH) return;
    this.seen.add(value);
    if (value instanceof PyDict) this.visitDict(value, path, section, depth);
    else if (value instanceof PyObject) this.visitObject(value, path, section, depth);
    else if (value instanceof PyList || value instanceof PyTuple || value instanceof PySet) {
      const { items } = value;
      if (items.some((item) => item !== null && typeof item === 'object')) items.forEach((item, i) => { if (item !== null && typeof item === 'object') this.visit(item, [...path, String(i)], section, depth + 1); });
      else this.note(path, 'list', `${items.length} items`, section);
    }
  }

  private visitDict(dict: PyDict, path: readonly string[], section: Section, depth: number): void {
    for (const [key, value] of dict.entries) {
      const name = typeof key === 'string' || typeof key === 'number' ? String(key) : 'key';
      if (path.reduce((sum, one) => sum + one.length, name.length) > MAX_NAME) throw new PickleError(`a name of more than ${MAX_NAME} characters`);
      this.visit(value, [...path, name], section !== 'optimizer' && OPTIMIZER_KEY.test(name) && !tensorOf(value) ? 'optimizer' : section, depth + 1);
    }
  }

  /** A whole module that was pickled holds its tensors in three dictionaries; everything else shows its name. */
  private visitObject(object: PyObject, path: readonly string[], section: Section, depth: number): void {
    const state = object.state instanceof PyDict ? object.state.entries : null;
    if (state && (state.has('_parameters') || state.has('_modules'))) {
      for (const key of ['_parameters', '_buffers', '_modules']) {
        const part = state.get(key);
        if (part instanceof PyDict) this.visitDict(part, path, section, depth + 1);
        else if (part instanceof PyObject) this.visitDict(part.dict, path, section, depth + 1);
      }
      return;
    }
    this.note(path, 'object', object.of?.path ?? 'an object', section);
    if (object.dict.entries.size > 0) this.visitDict(object.dict, path, section, depth + 1);
    for (const [i, item] of object.list.entries()) this.visit(item, [...path, String(i)], section, depth + 1);
    if (object.state instanceof PyDict) this.visitDict(object.state, path, section, depth + 1);
  }

  private leaf(value: PyValue, path: readonly string[], section: Section): void {
    if (value === null) return;
    if (typeof value === 'string') this.note(path, 'text', JSON.stringify(value.slice(0, 60)), section);
    else if (value instanceof Uint8Array) this.note(path, 'bytes', `${value.length} bytes`, section);
    else if (value instanceof PyGlobal) this.note(path, 'name', value.path, section);
    else if (value instanceof PyStorage) this.note(path, 'storage', value.type, section);
    else this.note(path, typeof value === 'boolean' ? 'flag' : 'number', String(value), section);
  }

  private note(path: readonly string[], kind: string, detail: string, section: Section): void {
    if (this.objects.length < MAX_OBJECTS) this.objects.push({ name: path.join('.').slice(0, 200) || '(root)', kind, detail: detail.slice(0, 120), section: section === 'optimizer' ? 'optimizer' : 'model' });
  }
}
