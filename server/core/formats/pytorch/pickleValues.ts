/**
 * What an interpreted pickle is made of. Nothing here was ever called: a global is a name, an object is the name of what
 * would have made it with its arguments.
 */
export type PyValue = null | boolean | number | bigint | string | Uint8Array | PyList | PyTuple | PyDict | PySet | PyGlobal | PyObject | PyStorage | PyTensor;

export class PyList { readonly items: PyValue[] = []; }
export class PyTuple { constructor(readonly items: readonly PyValue[]) {} }
export class PySet { readonly items: PyValue[] = []; }
/** A dictionary, in the order of first insertion. Keys that are no text or number are kept apart by identity. */
export class PyDict { readonly entries = new Map<PyValue, PyValue>(); }

/** `module.name`, never imported. */
export class PyGlobal {
  constructor(readonly module: string, readonly name: string) {}
  get path(): string { return `${this.module}.${this.name}`; }
}

/** What a call of something unknown would have made: shown by its name. */
export class PyObject {
  state: PyValue = null;
  /** Items set on it, for subclasses of dict, list and set. */
  readonly dict = new PyDict();
  readonly list: PyValue[] = [];
  constructor(readonly of: PyGlobal | null, readonly args: readonly PyValue[]) {}
}

/** Items of a tuple or list, null for anything else. */
export const sequence = (value: PyValue | undefined): readonly PyValue[] | null => (value instanceof PyTuple || value instanceof PyList ? value.items : null);

/** A storage of torch: where its bytes are is known to the container. */
export class PyStorage {
  constructor(
    readonly key: string,
    /** Name of the storage class, e.g. FloatStorage. */
    readonly type: string,
    /** As the pickle says: elements, or bytes for an untyped storage. */
    readonly numel: number,
    /** First element, for a view of a storage (old files). */
    readonly viewOffset: number,
  ) {}
}

/** A tensor that is to be read, or the reason why it is only shown. Shapes and strides are still a stranger's. */
export class PyTensor {
  constructor(
    readonly storage: PyStorage | null,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly stride: readonly number[],
    /** Name of the torch dtype when the call gives it, else null: the storage's class tells. */
    readonly dtype: string | null,
    readonly flags: { readonly conjugate: boolean; readonly negative: boolean },
    /** Per-tensor affine quantisation. */
    readonly affine: { readonly scale: number; readonly zeroPoint: number } | null,
    /** `sparse`, `quantised`, `meta`, ...: shown only. */
    readonly special: { readonly kind: string; readonly detail: string } | null,
  ) {}
}
