import { ProtoWriter } from '../../../server/core/graph/protobuf';

/** One TensorProto. Which field holds the values is up to `values`. */
export interface TensorSketch {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly values: (tensor: ProtoWriter) => void;
}

export const f32Bytes = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

export function tensorProto({ name, dims, type, values }: TensorSketch): ProtoWriter {
  const tensor = new ProtoWriter();
  if (dims.length > 0) tensor.ints(1, dims);
  tensor.int(2, type).string(8, name);
  values(tensor);
  return tensor;
}

/** A raw F32 tensor whose values depend on its name. */
export function rawF32(name: string, dims: readonly number[]): TensorSketch {
  const count = dims.reduce((product, size) => product * size, 1);
  return { name, dims, type: 1, values: (tensor) => { tensor.bytes(9, f32Bytes(...Array.from({ length: count }, (_, i) => ((i * 7 + name.length * 13) % 19) / 8 - 1))); } };
}

export const external = (location: string, more: Readonly<Record<string, string>> = {}) => (tensor: ProtoWriter): void => {
  for (const [key, value] of Object.entries({ location, ...more })) tensor.message(13, new ProtoWriter().string(1, key).string(2, value));
  tensor.int(14, 1);
};

export interface NodeSketch {
  readonly op: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: readonly ProtoWriter[];
}

export function nodeProto({ op, name, inputs, outputs, attributes }: NodeSketch): ProtoWriter {
  const node = new ProtoWriter();
  for (const input of inputs) node.string(1, input);
  for (const output of outputs) node.string(2, output);
  node.string(3, name ?? '').string(4, op);
  for (const attribute of attributes ?? []) node.message(5, attribute);
  return node;
}

/** A whole model. `extra` adds to the graph what the sketches have no word for. */
export function onnxFile(tensors: readonly TensorSketch[], nodes: readonly NodeSketch[] = [], outputs: readonly string[] = ['y'], extra: (graph: ProtoWriter) => void = () => {}): Uint8Array {
  const graph = new ProtoWriter();
  for (const node of nodes) graph.message(1, nodeProto(node));
  graph.string(2, 'sketch');
  for (const tensor of tensors) graph.message(5, tensorProto(tensor));
  for (const output of outputs) graph.message(12, new ProtoWriter().string(1, output));
  extra(graph);
  return new ProtoWriter().int(1, 8).string(2, 'winnow-test').message(7, graph).message(8, new ProtoWriter().string(1, '').int(2, 17)).finish();
}
