import path from 'node:path';
import { CheckpointError } from '../errors';
import type { WeightReference } from './contract';
import { concatBytes, ProtoWriter } from './protobuf';

/** Element types of onnx.proto's TensorProto.DataType, as far as graphs here use them. */
export const elementTypes = { F32: 1, I32: 6, I64: 7, BOOL: 9, F16: 10, F64: 11, BF16: 16 } as const;
export type ElementType = keyof typeof elementTypes;

/** The name of a value inside the graph. */
export type Value = string;

/** A node attribute: i = int, f = float, s = text, is = ints. */
export type Attribute = { readonly i: number } | { readonly f: number } | { readonly s: string } | { readonly is: readonly number[] };
export type Attributes = Readonly<Record<string, Attribute>>;

/** The domain of ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

// Opset 20 is the first with Gelu; IR 9 is the version it came with.
const OPSET = 20;
const IR_VERSION = 9;

function attribute(name: string, value: Attribute): ProtoWriter {
  const proto = new ProtoWriter().string(1, name);
  if ('i' in value) return proto.int(3, value.i).int(20, 2);
  if ('f' in value) return proto.float(2, value.f).int(20, 1);
  if ('s' in value) return proto.string(4, value.s).int(20, 3);
  for (const item of value.is) proto.int(8, item);
  return proto.int(20, 7);
}

function valueInfo(name: string, type: ElementType, dims: readonly (number | string)[]): ProtoWriter {
  const shape = new ProtoWriter();
  for (const dim of dims) shape.message(1, typeof dim === 'number' ? new ProtoWriter().int(1, dim) : new ProtoWriter().string(2, dim));
  const tensor = new ProtoWriter().int(1, elementTypes[type]).message(2, shape);
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, tensor));
}

/**
 * The root that external locations are relative to: `/`, or the drive of the path on Windows. ONNX Runtime refuses
 * absolute locations, so one session takes tensors from anywhere below one root.
 */
export const rootOf = (realPath: string): string => path.parse(realPath).root;

/** One field of a GraphProto, as bytes: a node or an initialiser with what it reads and makes, or an input or output of the graph. */
interface Part {
  readonly bytes: Uint8Array;
  readonly reads: readonly Value[];
  readonly makes: readonly Value[];
}

/** What a slice of a graph is made of. */
export interface SliceRequest {
  /** Values that are fed instead of computed: F32 of two axes. They become inputs under their own names. */
  readonly inputs: readonly Value[];
  /** Outputs by name, with the value and the type of each. */
  readonly outputs: readonly { readonly name: string; readonly value: Value; readonly type: ElementType }[];
  /** Bytes that weights are read from instead, by name. */
  readonly overlay?: ReadonlyMap<string, WeightReference>;
}

/** A part of a graph that is a graph of its own. */
export interface GraphSlice {
  /** The serialised ModelProto. */
  readonly bytes: Uint8Array;
  /** Inputs that it really has: those of the whole graph and those of the request that the outputs need. */
  readonly inputs: readonly string[];
  /** Bytes of all weights in it, as stored. */
  readonly weightBytes: number;
}

/** Assembles an ONNX model, node by node. Values are named; weights are external data, never copied into the bytes. */
export class GraphBuilder {
  private readonly early: Part[] = [];
  private readonly late: Part[] = [];
  private readonly ports: Part[] = [];
  private readonly weights = new Map<Value, { readonly type: ElementType; readonly shape: readonly number[]; readonly reference: WeightReference }>();
  private readonly constants = new Map<string, Value>();
  private count = 0;
  private isEarly = false;
  /** What the external locations are relative to; null before the first one. */
  root: string | null = null;
  /** Places between blocks, in the order of computation: the values that cross each. */
  readonly boundaries: (readonly Value[])[] = [];

  /** @param prefix of all names that are made here, for nodes that go into a graph with names of its own */
  constructor(private readonly name: string, private readonly prefix = '') {}

  /** A name nobody else has. */
  private fresh(hint: string): string {
    return `${this.prefix}${hint}_${this.count++}`;
  }

  /** Adds a node with one output and answers its name. An empty name in `inputs` skips an optional input. */
  op(type: string, inputs: readonly Value[], attributes: Attributes = {}, domain = ''): Value {
    return this.ops(type, inputs, 1, attributes, domain)[0];
  }

  /** Adds a node with several outputs. */
  ops(type: string, inputs: readonly Value[], outputs: number, attributes: Attributes = {}, domain = ''): readonly Value[] {
    const names = Array.from({ length: outputs }, () => this.fresh(type));
    this.node(type, inputs, names, attributes, domain);
    return names;
  }

  private node(type: string, inputs: readonly Value[], outputs: readonly Value[], attributes: Attributes, domain: string): void {
    const node = new ProtoWriter();
    for (const input of inputs) node.string(1, input);
    for (const output of outputs) node.string(2, output);
    node.string(3, outputs[0]).string(4, type);
    for (const [key, value] of Object.entries(attributes)) node.message(5, attribute(key, value));
    if (domain) node.string(7, domain);
    (this.isEarly ? this.early : this.late).push({ bytes: field(1, node), reads: inputs.filter((input) => input !== ''), makes: outputs });
  }

  /**
   * Nodes that `make` adds come first in the model. ONNX Runtime orders by depth-first search that enters the latest
   * node first: a node made of weights alone, were it late, would run before everything, and all of them would be
   * alive at once; an early one runs just before its first use.
   */
  first(make: () => Value): Value {
    this.isEarly = true;
    try {
      return make();
    } finally {
      this.isEarly = false;
    }
  }

  private inline(type: ElementType, shape: readonly number[], raw: Uint8Array): Value {
    const key = raw.length <= 64 ? `${type} ${shape.join()} ${raw.join()}` : null;
    const known = key === null ? undefined : this.constants.get(key);
    if (known !== undefined) return known;
    const name = this.fresh('constant');
    this.late.push({ bytes: field(5, new ProtoWriter().ints(1, shape).int(2, elementTypes[type]).string(8, name).bytes(9, raw)), reads: [], makes: [name] });
    if (key !== null) this.constants.set(key, name);
    return name;
  }

  /** A constant kept inside the model; the shape is that of a vector unless given ([] for a scalar). */
  floats(values: readonly number[] | Float32Array, shape: readonly number[] = [values.length]): Value {
    return this.inline('F32', shape, new Uint8Array(Float32Array.from(values).buffer));
  }

  float(value: number): Value {
    return this.floats([value], []);
  }

  ints64(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.inline('I64', shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  ints32(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.inline('I32', shape, new Uint8Array(Int32Array.from(values).buffer));
  }

  /** A weight by reference: its bytes stay where they are on disk. */
  external(name: string, type: ElementType, shape: readonly number[], reference: WeightReference): Value {
    this.weights.set(name, { type, shape, reference });
    this.late.push({ bytes: this.initialiser(name, reference), reads: [], makes: [name] });
    return name;
  }

  private initialiser(name: string, reference: WeightReference): Uint8Array {
    const { type, shape } = this.weights.get(name)!, root = rootOf(reference.realPath);
    this.root ??= root;
    if (root !== this.root) throw new CheckpointError('runtime-failed', { file: reference.realPath }, `weights lie on two drives, ${this.root} and ${root}`);
    const location = path.relative(root, reference.realPath).split(path.sep).join('/');
    const tensor = new ProtoWriter().ints(1, shape).int(2, elementTypes[type]).string(8, name);
    const entries = { location, offset: String(reference.from), length: String(reference.byteLength) };
    for (const [key, value] of Object.entries(entries)) tensor.message(13, new ProtoWriter().string(1, key).string(2, value));
    return field(5, tensor.int(14, 1));
  }

  /** Gives `value` a second name, which other nodes know it by. */
  alias(name: string, value: Value): void {
    this.node('Identity', [value], [name], {}, '');
  }

  cast(value: Value, to: ElementType): Value {
    return this.op('Cast', [value], { to: { i: elementTypes[to] } });
  }

  reshape(value: Value, shape: readonly number[]): Value {
    return this.op('Reshape', [value, this.ints64(shape)]);
  }

  /**
   * Marks a place between two blocks. `crossing`: all that later nodes need of earlier ones, (rows, width) F32 each, besides what
   * follows from the graph's inputs and the weights alone.
   */
  boundary(...crossing: readonly Value[]): void {
    this.boundaries.push(crossing);
  }

  /** A graph input; text dimensions are free. */
  input(name: string, type: ElementType, dims: readonly (number | string)[]): Value {
    this.ports.push({ bytes: field(11, valueInfo(name, type, dims)), reads: [], makes: [name] });
    return name;
  }

  /** Gives `value` the name of a graph output. */
  output(name: string, value: Value, type: ElementType, dims: readonly (number | string)[]): void {
    this.alias(name, value);
    this.ports.push({ bytes: field(12, valueInfo(name, type, dims)), reads: [name], makes: [] });
  }

  /** The fields of a GraphProto that were added: those of `first` ahead, then the others. */
  fragment(): { readonly early: Uint8Array; readonly late: Uint8Array } {
    return { early: joined(this.early), late: joined([...this.late, ...this.ports]) };
  }

  /** The serialised ModelProto. */
  finish(): Uint8Array {
    const { early, late } = this.fragment();
    return this.model(concatBytes([early, late]));
  }

  /**
   * What leads from some values to others, as a graph of its own: of the nodes, weights and inputs only what the outputs
   * need, in the order that they have here. The graph itself is as it was.
   */
  slice(request: SliceRequest): GraphSlice {
    const needed = this.reach(request.outputs.map(({ value }) => value), request.inputs);
    const isNeeded = (part: Part): boolean => part.makes.some((value) => needed.has(value));
    const fed = new Set(request.inputs);
    const kept = [...this.early, ...this.late].filter((part) => isNeeded(part) && !part.makes.some((value) => fed.has(value)));
    let weightBytes = 0;
    const bodies = kept.map(({ bytes, makes: [name] }) => {
      const weight = this.weights.get(name);
      if (weight === undefined) return bytes;
      weightBytes += weight.reference.byteLength;
      const other = request.overlay?.get(name);
      return other === undefined ? bytes : this.initialiser(name, other);
    });
    const inputs = this.ports.filter(isNeeded);
    const cuts = request.inputs.filter((name) => needed.has(name));
    const ends = request.outputs.flatMap(({ name, value, type }) => [
      field(1, new ProtoWriter().string(1, value).string(2, name).string(3, name).string(4, 'Identity')),
      field(12, new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, new ProtoWriter().int(1, elementTypes[type])))),
    ]);
    return {
      bytes: this.model(concatBytes([...bodies, ...inputs.map(({ bytes }) => bytes), ...cuts.map((name) => field(11, valueInfo(name, 'F32', [`${name} rows`, `${name} width`]))), ...ends])),
      inputs: [...inputs.flatMap(({ makes }) => makes), ...cuts], weightBytes,
    };
  }

  /** Every value that `ends` are made of, themselves included, not looking behind `starts`. */
  reach(ends: readonly Value[], starts: readonly Value[]): ReadonlySet<Value> {
    const makers = this.makers(), found = new Set<Value>(), open = [...ends], stops = new Set(starts);
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      if (found.has(value)) continue;
      found.add(value);
      if (!stops.has(value)) open.push(...(makers.get(value)?.reads ?? []));
    }
    return found;
  }

  private makers(): ReadonlyMap<Value, Part> {
    return new Map([...this.early, ...this.late].flatMap((part) => part.makes.map((value) => [value, part] as const)));
  }

  private model(fields: Uint8Array): Uint8Array {
    const body = concatBytes([new ProtoWriter().string(2, this.name).finish(), fields]);
    const opset = new ProtoWriter().string(1, '').int(2, OPSET);
    const contrib = new ProtoWriter().string(1, MICROSOFT).int(2, 1);
    return new ProtoWriter().int(1, IR_VERSION).string(2, 'winnow').bytes(7, body).message(8, opset).message(8, contrib).finish();
  }
}

const field = (number: number, message: ProtoWriter): Uint8Array => new ProtoWriter().message(number, message).finish();
const joined = (parts: readonly Part[]): Uint8Array => concatBytes(parts.map(({ bytes }) => bytes));
