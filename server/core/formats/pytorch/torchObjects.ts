import { CheckpointError } from '../../errors';
import { shownName } from '../names';
import { PickleError, type PickleOwner } from './pickle';
import { PyDict, PyGlobal, PyList, PyObject, PySet, PyStorage, PyTensor, PyTuple, sequence, type PyValue } from './pickleValues';

/** What a file may not even ask for: modules whose functions run code, reach the system or fetch more code. */
const DANGEROUS_MODULES = new Set([
  'os', 'posix', 'nt', 'subprocess', 'sys', 'shutil', 'socket', 'ssl', 'http', 'urllib', 'requests', 'httpx', 'aiohttp', 'ftplib', 'smtplib', 'webbrowser', 'importlib', 'runpy', 'pkgutil', 'code',
  'codeop', 'pty', 'ctypes', 'cffi', 'pickle', '_pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'marshal', 'shelve', 'types', 'inspect', 'gc', 'timeit', 'cProfile', 'profile', 'pdb', 'bdb', 'trace', 'doctest',
  'multiprocessing', 'threading', '_thread', 'asyncio', 'signal', 'platform', 'tempfile', 'pathlib', 'glob', 'fileinput', 'linecache', 'io', '_io', 'commands', 'popen2', 'pip', 'setuptools', 'distutils', 'venv', 'ensurepip',
  'operator', '_operator', 'functools', 'itertools', 'builtins', '__builtin__', '__builtins__', 'nose', 'numpy.testing', 'torch.hub', 'torch.jit', 'torch.utils.cpp_extension', 'torch._dynamo', 'torch._inductor', 'idlelib', 'lib2to3', 'uuid', 'xmlrpc', 'telnetlib', 'zipimport', 'imp', 'tkinter', 'ast',
]);
/** What is harmless in them. */
const HARMLESS = new Set([
  'builtins.set', 'builtins.frozenset', 'builtins.dict', 'builtins.list', 'builtins.tuple', 'builtins.int', 'builtins.float', 'builtins.bool', 'builtins.str', 'builtins.bytes', 'builtins.bytearray', 'builtins.complex',
  'builtins.slice', 'builtins.range', 'builtins.object', 'types.SimpleNamespace', 'io.BytesIO', '_io.BytesIO', 'io.StringIO', 'functools.partial', 'pathlib.PosixPath', 'pathlib.Path', 'pathlib.WindowsPath', 'pathlib.PurePosixPath', 'pathlib.PureWindowsPath',
  'pathlib._local.PosixPath', 'pathlib._local.WindowsPath', 'uuid.UUID', 'torch.jit._script.RecursiveScriptModule',
]);

function isDangerous({ module, name }: PyGlobal): boolean {
  // Python 3 pickles a protocol-2 file with Python 2's names.
  const real = module === '__builtin__' ? 'builtins' : module;
  if (HARMLESS.has(`${real}.${name}`)) return false;
  // A dotted name walks attributes: `torch.serialization` `os.system`.
  const parts = [...real.split('.'), ...name.split('.').slice(0, -1)];
  return parts.some((part, i) => DANGEROUS_MODULES.has(part) && (i === 0 || i >= real.split('.').length))
    || parts.some((_, i) => DANGEROUS_MODULES.has(parts.slice(0, i + 1).join('.')))
    || name.split('.').some((part) => /^(__\w+__|eval|exec|system|popen|getattr|compile|open|__import__)$/.test(part) && part !== '__main__');
}

/**
 * The allow-list: names that are understood, each turned into data by hand. Whatever else a pickle calls becomes an object that
 * is only shown; a call of something that runs code is refused, though nothing of it would be run.
 */
export class TorchObjects implements PickleOwner {
  /** Names of unknown callables, with how often they were called. */
  readonly unknown = new Map<string, number>();
  private readonly storages = new Map<string, PyStorage>();

  constructor(private readonly file: string) {}

  persistent(id: PyValue): PyValue {
    const items = sequence(id);
    if (items?.[0] === 'module') return items[1] ?? null; // a class with its source: the name is enough
    if (items?.[0] !== 'storage' || items.length < 5) throw new PickleError('a persistent id that is no storage');
    const [, type, key, , numel, view] = items;
    if (!(type instanceof PyGlobal) || (typeof key !== 'string' && typeof key !== 'number')) throw new PickleError('a storage without a type or key');
    const viewed = view === undefined || view === null ? null : sequence(view);
    const offset = viewed ? viewed[1] : 0;
    const storage = new PyStorage(String(key), type.name, whole(numel), whole(offset));
    const known = `${storage.key}\n${storage.type}\n${storage.numel}\n${storage.viewOffset}`;
    const found = this.storages.get(known);
    if (found) return found;
    this.storages.set(known, storage);
    return storage;
  }

  called(callable: PyGlobal | null, args: readonly PyValue[]): PyValue {
    if (callable === null) return this.opaque(null, args);
    const known = constructors[callable.path] ?? (/^torch\.(cuda\.)?\w*Tensor$/.test(callable.path) ? tensorClass : undefined);
    if (known) return known(args, this) ?? this.opaque(callable, args);
    if (isDangerous(callable)) {
      throw new CheckpointError('pickle-blocked', { file: this.file, key: callable.path.slice(0, 120) }, `a call of ${shownName(callable.path.replace(/^__builtin__\./, 'builtins.'))}${firstText(args)}`);
    }
    return this.opaque(callable, args);
  }

  private opaque(callable: PyGlobal | null, args: readonly PyValue[]): PyObject {
    const name = callable?.path ?? 'a computed callable';
    this.unknown.set(name, (this.unknown.get(name) ?? 0) + 1);
    return new PyObject(callable, args);
  }
}

/** The first text among the arguments, for the message. */
function firstText(args: readonly PyValue[]): string {
  const text = args.find((arg): arg is string => typeof arg === 'string');
  return text === undefined ? '' : ` with ${JSON.stringify(text.slice(0, 60))}`;
}

const whole = (value: PyValue | undefined): number => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new PickleError(`a size or offset of ${typeof value === 'number' || typeof value === 'bigint' ? value : typeof value}`);
  return value;
};
/** Sizes or strides. A torch.Size is a tuple here. */
const wholes = (value: PyValue | undefined): number[] => {
  const items = sequence(value);
  if (!items || items.length > 64) throw new PickleError('a shape or stride that is no short tuple');
  return items.map((item) => {
    if (typeof item !== 'number' || !Number.isSafeInteger(item)) throw new PickleError('a shape or stride that is no integer');
    return item;
  });
};

type Constructor = (args: readonly PyValue[], owner: TorchObjects) => PyValue | undefined;
const NO_FLAGS = { conjugate: false, negative: false };

const flagsOf = (metadata: PyValue | undefined): { conjugate: boolean; negative: boolean } => (metadata instanceof PyDict
  ? { conjugate: metadata.entries.get('conj') === true, negative: metadata.entries.get('neg') === true } : NO_FLAGS);

function strided(args: readonly PyValue[], dtype: string | null, metadata: PyValue | undefined): PyValue {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof PyStorage)) {
    // A storage that was pickled by value (through its bytes) lies inside the pickle.
    return special('embedded', size, 'its values are stored inside the pickle');
  }
  return new PyTensor(storage, whole(offset), wholes(size), wholes(stride), dtype, flagsOf(metadata), null, null);
}

function special(kind: string, size: PyValue | undefined, detail: string): PyTensor {
  let shape: readonly number[] = [];
  try {
    shape = wholes(size);
  } catch {
    // shown without a shape
  }
  return new PyTensor(null, 0, shape, [], null, NO_FLAGS, null, { kind, detail });
}

function quantised(args: readonly PyValue[]): PyValue {
  const [storage, offset, size, stride, parameters] = args, items = sequence(parameters);
  const scheme = items?.[0] instanceof PyGlobal ? items[0].name : 'unknown';
  const type = storage instanceof PyStorage ? storage.type.replace(/Storage$/, '') : 'quantised';
  const scale = items?.[1], zeroPoint = items?.[2];
  const perTensor = scheme === 'per_tensor_affine' && typeof scale === 'number' && Number.isFinite(scale) && typeof zeroPoint === 'number' && Number.isInteger(zeroPoint);
  if (perTensor && storage instanceof PyStorage && /^Q(UI|I)nt(8|32)$/.test(type)) {
    return new PyTensor(storage, whole(offset), wholes(size), wholes(stride), null, NO_FLAGS, { scale, zeroPoint }, null);
  }
  return special('quantised', size, `${type}, ${scheme}`);
}

function sparse(args: readonly PyValue[]): PyValue {
  const [layout, data] = args, items = sequence(data) ?? [];
  const size = items.find((item) => item instanceof PyTuple && item.items.every((one) => typeof one === 'number'));
  const values = items.filter((item): item is PyTensor => item instanceof PyTensor), last = values[values.length - 1];
  const name = layout instanceof PyObject || layout instanceof PyGlobal ? '' : typeof layout === 'string' ? layout : '';
  return special('sparse', size, `${name === '' ? 'sparse' : name}${last ? `, ${last.shape[0] ?? 0} values stored` : ''}`);
}

function numpyScalar(args: readonly PyValue[]): PyValue {
  const raw = args[1], code = args[0] instanceof PyObject ? args[0].args[0] : null;
  if (!(raw instanceof Uint8Array) || typeof code !== 'string') return new PyObject(new PyGlobal('numpy', 'scalar'), args);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (code === 'f8' && raw.length === 8) return view.getFloat64(0, true);
  if (code === 'f4' && raw.length === 4) return view.getFloat32(0, true);
  if (code === 'i8' && raw.length === 8) return Number(view.getBigInt64(0, true));
  if (code === 'i4' && raw.length === 4) return view.getInt32(0, true);
  return new PyObject(new PyGlobal('numpy', 'scalar'), args);
}

/** Before 0.4 a tensor was made by its class and given (storage, offset, size, stride) as its state. */
const tensorClass: Constructor = (args) => new PyObject(new PyGlobal('torch', 'Tensor'), args);

function orderedDict(args: readonly PyValue[]): PyDict {
  const dict = new PyDict();
  for (const pair of sequence(args[0]) ?? []) {
    const items = sequence(pair);
    if (items?.length === 2) dict.entries.set(items[0], items[1]);
  }
  if (args[0] instanceof PyDict) for (const [key, value] of args[0].entries) dict.entries.set(key, value);
  return dict;
}

const list: Constructor = (args) => {
  const made = new PyList();
  for (const item of sequence(args[0]) ?? []) made.items.push(item);
  return made;
};
const set: Constructor = (args) => {
  const made = new PySet();
  for (const item of sequence(args[0]) ?? []) made.items.push(item);
  return made;
};
const parameter: Constructor = ([data]) => (data instanceof PyTensor ? data : undefined);
const shown = (module: string, name: string): Constructor => (args) => new PyObject(new PyGlobal(module, name), args);
const v2: Constructor = (args) => strided(args, null, args[6]);

/** Exact names only. `undefined` from one of them means: not what was expected, show it as it is. */
const constructors: Readonly<Record<string, Constructor | undefined>> = Object.assign(Object.create(null) as Record<string, Constructor>, {
  'collections.OrderedDict': orderedDict, 'collections.defaultdict': () => new PyDict(), 'collections.Counter': orderedDict,
  'builtins.dict': orderedDict, '__builtin__.dict': orderedDict, 'builtins.list': list, '__builtin__.list': list, 'builtins.set': set, '__builtin__.set': set, 'builtins.frozenset': set, '__builtin__.frozenset': set,
  'torch.Size': (args: readonly PyValue[]) => new PyTuple(sequence(args[0]) ?? args),
  'torch.device': shown('torch', 'device'), 'torch.serialization._get_layout': (args: readonly PyValue[]) => args[0],
  'torch._utils._rebuild_tensor': (args: readonly PyValue[]) => strided(args, null, undefined),
  'torch._utils._rebuild_tensor_v2': v2,
  'torch._utils._rebuild_tensor_v3': (args: readonly PyValue[]) => strided(args, args[6] instanceof PyGlobal ? args[6].name : null, args[7]),
  'torch._utils._rebuild_parameter': parameter, 'torch._utils._rebuild_parameter_with_state': parameter, 'torch.nn.parameter.Parameter': parameter, 'torch.nn.Parameter': parameter,
  'torch._utils._rebuild_qtensor': quantised,
  'torch._utils._rebuild_sparse_tensor': sparse, 'torch._utils._rebuild_sparse_csr_tensor': sparse,
  'torch._utils._rebuild_nested_tensor': (args: readonly PyValue[]) => special('nested', undefined, `a nested tensor of ${args.length} parts`),
  'torch._utils._rebuild_meta_tensor_no_storage': (args: readonly PyValue[]) => special('meta', args[1], 'on the meta device: a shape without values'),
  'torch._utils._rebuild_wrapper_subclass': (args: readonly PyValue[]) => special('subclass', args[2], 'a tensor subclass'),
  'torch._utils._rebuild_device_tensor_from_numpy': (args: readonly PyValue[]) => special('numpy', undefined, `a numpy array${args[1] instanceof PyGlobal ? ` as ${args[1].name}` : ''}`),
  'torch._tensor._rebuild_from_type_v2': (args: readonly PyValue[], owner: TorchObjects) => (args[0] instanceof PyGlobal && sequence(args[2]) ? owner.called(args[0], sequence(args[2])!) : undefined),
  'torch._tensor._rebuild_from_type': (args: readonly PyValue[], owner: TorchObjects) => (args[0] instanceof PyGlobal && sequence(args[2]) ? owner.called(args[0], sequence(args[2])!) : undefined),
  'torch.storage._load_from_bytes': shown('torch.storage', 'embedded'),
  'numpy.dtype': shown('numpy', 'dtype'), 'numpy.ndarray': shown('numpy', 'ndarray'),
  'numpy.core.multiarray.scalar': numpyScalar, 'numpy._core.multiarray.scalar': numpyScalar,
  'numpy.core.multiarray._reconstruct': shown('numpy', 'ndarray'), 'numpy._core.multiarray._reconstruct': shown('numpy', 'ndarray'),
  'numpy._core.numeric._frombuffer': shown('numpy', 'ndarray'), 'numpy.core.numeric._frombuffer': shown('numpy', 'ndarray'),
  '_codecs.encode': (args: readonly PyValue[]) => (typeof args[0] === 'string' && (args[1] === 'latin1' || args[1] === undefined) ? new Uint8Array(Buffer.from(args[0], 'latin1')) : undefined),
});

/** A tensor of before 0.4 is known only once its state is set. */
export function oldTensor(object: PyObject): PyTensor | null {
  const state = sequence(object.state);
  if (object.of?.path !== 'torch.Tensor' || !state || state.length < 4 || !(state[0] instanceof PyStorage)) return null;
  return strided(state, null, undefined) as PyTensor;
}
