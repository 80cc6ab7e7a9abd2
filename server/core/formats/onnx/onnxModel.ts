import { CheckpointError } from '../../errors';
import { listNames, shownName } from '../names';
import type { TensorUse } from '../../tensor/tensorInfo';
import type { Dequantising } from './dequantise';
import { GraphUses, type NodeFacts } from './graphUses';
import { elementsOf, MAX_TEXT, readTensor, type OnnxTensor, type OpaqueTensor } from './onnxTensor';
import type { ProtoField, ProtoReader } from './protoReader';

/** More than any exporter writes; keeps what is held in memory bounded whatever the file says. */
const MAX_NODES = 2 ** 18;
const MAX_TENSORS = 2 ** 17;
const MAX_DEPTH = 16;

/** Where a tensor stands in the graph. */
export type OnnxOrigin = 'initializer' | 'constant';
export type FoundTensor = OnnxTensor & { readonly origin: OnnxOrigin };

/** What an ONNX file holds, without values. */
export interface OnnxContents {
  readonly tensors: readonly FoundTensor[];
  readonly opaque: readonly OpaqueTensor[];
  readonly uses: ReadonlyMap<string, TensorUse>;
  /** The DequantizeLinear that takes a tensor, by the tensor's name. */
  readonly dequantising: ReadonlyMap<string, Dequantising>;
  /** `producer_name` and its version, the IR version, opsets. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a ModelProto: every tensor of the graph and of the graphs inside its nodes, and how nodes use them.
 *
 * @throws CheckpointError `file-damaged`, `file-cut-short`, `duplicate-tensor`, and as `readTensor`
 */
export function readOnnx(reader: ProtoReader, file: string): OnnxContents {
  const walk = new Walk(reader, file);
  let graph: ProtoField | null = null, hasOpset = false;
  const metadata: Record<string, string> = {};
  for (const field of reader.fields(0, reader.byteLength)) {
    if (field.number === 1 && field.wire === 0) metadata.ir_version = String(field.value);
    else if (field.number === 2) metadata.producer_name = reader.text(field, MAX_TEXT);
    else if (field.number === 3) metadata.producer_version = reader.text(field, MAX_TEXT);
    else if (field.number === 7) graph = field;
    else if (field.number === 8) hasOpset = true;
    else if (field.number > 100) throw reader.damaged(field.tagFrom, `field ${field.number} is none of a model`);
  }
  if (graph === null) throw reader.damaged(reader.byteLength, 'there is no graph');
  // Writers put the operator sets, which every model of the last years names, behind the graph: without them the end is missing.
  if (!hasOpset && !(Number(metadata.ir_version) < 3)) throw reader.damaged(reader.byteLength, 'it names no operator sets: the end of the file is missing');
  walk.graph(...reader.message(graph), '', 0);
  return { ...walk.result(), metadata };
}

/** What attributes say of a node. An axis counted from the end is a number beyond all axes here. */
interface AttributeFacts { transA: boolean; transB: boolean; swapsLast: boolean; axis: number | null; blocked: boolean }

class Walk {
  private readonly tensors: FoundTensor[] = [];
  private readonly opaque: OpaqueTensor[] = [];
  private readonly names = new Set<string>();
  private readonly uses = new GraphUses();
  private readonly outputs = new Set<string>();
  private readonly dequantising = new Map<string, Dequantising>();
  private nodes = 0;

  constructor(private readonly reader: ProtoReader, private readonly file: string) {}

  result(): Omit<OnnxContents, 'metadata'> {
    return { tensors: this.tensors, opaque: this.opaque, uses: this.uses.resolve(this.outputs), dequantising: this.dequantising };
  }

  /** @param prefix of names inside a subgraph, whose values may be called like those of another branch */
  graph(from: number, to: number, prefix: string, depth: number): void {
    const { reader } = this;
    if (depth > MAX_DEPTH) throw reader.damaged(from, `graphs nested more than ${MAX_DEPTH} deep`);
    for (const field of reader.fields(from, to)) switch (field.number) {
      case 1: this.node(field, prefix, depth); break;
      case 5: this.add(readTensor(reader, this.file, ...reader.message(field), null), 'initializer', prefix); break;
      case 12:
        if (depth > 0) break;
        for (const part of reader.fields(...reader.message(field))) if (part.number === 1 && this.outputs.size < MAX_TENSORS) this.outputs.add(reader.text(part, MAX_TEXT));
        break;
      case 15: this.sparse(field, prefix, null); break;
    }
  }

  private add(found: OnnxTensor | OpaqueTensor, origin: OnnxOrigin, prefix: string): void {
    const { reader, names } = this;
    if (names.size >= MAX_TENSORS) throw reader.damaged(0, `more than ${MAX_TENSORS} tensors`);
    const name = prefix !== '' && names.has(found.name) ? `${prefix}${found.name}` : found.name;
    if (names.has(name)) throw new CheckpointError('duplicate-tensor', { file: this.file, tensor: shownName(name) }, '');
    names.add(name);
    if ('dtype' in found) this.tensors.push({ ...found, name, origin });
    else this.opaque.push({ ...found, name });
  }

  /** Indices and values apart: named, not read. */
  private sparse(field: ProtoField, prefix: string, named: string | null): void {
    const { reader } = this;
    const dims: number[] = [];
    let name = '', values = '';
    for (const part of reader.fields(...reader.message(field))) {
      if (part.number === 3) for (const size of reader.varints(part)) if (dims.push(size) > 64) throw reader.damaged(part.tagFrom, 'more than 64 dimensions');
      if (part.number === 1) {
        const tensor = readTensor(reader, this.file, ...reader.message(part), null);
        name = tensor.name;
        values = listNames(tensor.shape.map(String));
      }
    }
    name = named ?? name;
    elementsOf(dims, { file: this.file, tensor: shownName(name) });
    this.add({ name, kind: 'sparse', shape: dims, detail: `stored sparse, ${values || 'no'} values` }, 'initializer', prefix);
  }

  private node(field: ProtoField, prefix: string, depth: number): void {
    const { reader } = this;
    if (++this.nodes > MAX_NODES) throw reader.damaged(field.tagFrom, `more than ${MAX_NODES} nodes`);
    const inputs: string[] = [], outputs: string[] = [], attributes: ProtoField[] = [];
    let name = '', op = '';
    for (const part of reader.fields(...reader.message(field))) switch (part.number) {
      case 1: if (inputs.length < 64) inputs.push(reader.text(part, MAX_TEXT)); break;
      case 2: if (outputs.length < 64) outputs.push(reader.text(part, MAX_TEXT)); break;
      case 3: name = reader.text(part, MAX_TEXT); break;
      case 4: op = reader.text(part, MAX_TEXT); break;
      // Attributes are read last: a Constant's name is its output's, wherever that stands.
      case 5: if (attributes.push(part) > 4096) throw reader.damaged(part.tagFrom, 'a node with more than 4096 attributes'); break;
    }
    const found: AttributeFacts = { transA: false, transB: false, swapsLast: true, axis: null, blocked: false };
    for (const attribute of attributes) this.attribute(attribute, { name, op, inputs, outputs, ...found }, found, prefix, depth);
    this.uses.add({ name, op, inputs, outputs, ...found });
    // Names of subgraphs may be those of others; a tensor that is dequantised in two ways is shown by the first.
    if (op === 'DequantizeLinear' && depth === 0 && inputs.length >= 2 && !this.dequantising.has(inputs[0])) {
      this.dequantising.set(inputs[0], { scale: inputs[1], zeroPoint: inputs[2] === undefined || inputs[2] === '' ? null : inputs[2], axis: found.axis, blocked: found.blocked });
    }
  }

  private attribute(field: ProtoField, node: NodeFacts, found: AttributeFacts, prefix: string, depth: number): void {
    const { reader } = this, [from, to] = reader.message(field);
    let key = '', integer = 0;
    const tensors: ProtoField[] = [], sparse: ProtoField[] = [], graphs: ProtoField[] = [];
    for (const part of reader.fields(from, to)) switch (part.number) {
      case 1: key = reader.text(part, MAX_TEXT); break;
      case 3: integer = part.value; break;
      case 5: case 10: tensors.push(part); break;
      case 6: case 11: graphs.push(part); break;
      case 22: case 23: sparse.push(part); break;
    }
    const inside = `${prefix}${node.name || node.outputs[0] || node.op}/${key}/`;
    for (const graph of graphs) this.graph(...reader.message(graph), inside, depth + 1);
    if (node.op === 'Constant' && node.outputs.length > 0) {
      for (const tensor of tensors.slice(0, 1)) this.add(readTensor(reader, this.file, ...reader.message(tensor), node.outputs[0]), 'constant', prefix);
      for (const tensor of sparse.slice(0, 1)) this.sparse(tensor, prefix, node.outputs[0]);
      this.plainConstant(key, from, to, node.outputs[0], prefix);
    } else if (key === 'transA') found.transA = integer === 1;
    else if (key === 'transB') found.transB = integer === 1;
    else if (key === 'axis') found.axis = integer;
    else if (key === 'block_size') found.blocked = integer !== 0;
    else if (key === 'perm') found.swapsLast = this.swapsLastTwo(from, to);
  }

  /** `value_float`, `value_floats`, `value_int`, `value_ints`: the values stand in the attribute itself. */
  private plainConstant(key: string, from: number, to: number, name: string, prefix: string): void {
    const kinds: Readonly<Record<string, readonly [field: number, list: boolean, dtype: 'F32' | 'I64']>> = {
      value_float: [2, false, 'F32'], value_int: [3, false, 'I64'], value_floats: [7, true, 'F32'], value_ints: [8, true, 'I64'],
    };
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
    if (kind === undefined) return;
    const { reader } = this, [number, isList, dtype] = kind, itemBytes = dtype === 'F32' ? 4 : 8;
    let items = 0;
    for (const part of reader.fields(from, to)) {
      if (part.number !== number) continue;
      if (dtype === 'I64') for (const value of reader.varints(part)) items += value >= 0 ? 1 : 0;
      else items += (part.to - part.from) / itemBytes;
    }
    if (!Number.isInteger(items) || (!isList && items !== 1)) throw reader.damaged(from, `${key} holds ${items} values`);
    this.add({
      name, dtype, shape: isList ? [items] : [], elements: items, from, to, external: null,
      encoding: [{ kind: 'protobuf', field: number, wire: dtype === 'F32' ? 'fixed32' : 'varint', itemBytes, decodedBytes: items * itemBytes }],
    }, 'constant', prefix);
  }

  /** True for a permutation that exchanges the last two axes only. */
  private swapsLastTwo(from: number, to: number): boolean {
    const perm: number[] = [];
    for (const part of this.reader.fields(from, to)) if (part.number === 8) for (const axis of this.reader.varints(part)) if (perm.push(axis) > 64) return false;
    const n = perm.length;
    return n >= 2 && perm.every((axis, i) => axis === (i === n - 1 ? n - 2 : i === n - 2 ? n - 1 : i));
  }
}
