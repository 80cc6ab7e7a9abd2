import { concatBytes, ProtoWriter } from './protobuf';
import { memoryFields, textOf } from './protoFields';

/** Field numbers of onnx.proto. */
export const GRAPH = { node: 1, name: 2, initializer: 5, sparse: 15, input: 11, output: 12 } as const;
const NODE = { input: 1, output: 2, name: 3, attribute: 5 } as const;
const ATTRIBUTE = { graph: 6, graphs: 11 } as const;
const TENSOR_NAME = 8, VALUE_NAME = 1;

type Rename = (name: string) => string;

/** A message with the texts of some of its fields renamed; the empty text, an input left out, stays. */
function renamed(message: Uint8Array, numbers: readonly number[], rename: Rename, other: (field: { number: number; content: Uint8Array; raw: Uint8Array }) => Uint8Array = ({ raw }) => raw): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of memoryFields(message)) {
    const text = numbers.includes(field.number) && field.wire === 2 ? textOf(field) : '';
    parts.push(text === '' ? other(field) : new ProtoWriter().string(field.number, rename(text)).finish());
  }
  return concatBytes(parts);
}

/** A NodeProto with all its values renamed, those of graphs inside it (If, Loop, Scan) too. */
export const renamedNode = (node: Uint8Array, rename: Rename): Uint8Array => renamed(node, [NODE.input, NODE.output, NODE.name], rename, (field) => {
  if (field.number !== NODE.attribute) return field.raw;
  const attribute = renamed(field.content, [], rename, (part) => part.number === ATTRIBUTE.graph || part.number === ATTRIBUTE.graphs
    ? new ProtoWriter().bytes(part.number, renamedGraph(part.content, rename)).finish() : part.raw);
  return new ProtoWriter().bytes(field.number, attribute).finish();
});

/** A TensorProto or ValueInfoProto under another name. */
export const renamedTensor = (tensor: Uint8Array, rename: Rename): Uint8Array => renamed(tensor, [TENSOR_NAME], rename);
export const renamedValue = (value: Uint8Array, rename: Rename): Uint8Array => renamed(value, [VALUE_NAME], rename);

function renamedGraph(graph: Uint8Array, rename: Rename): Uint8Array {
  return renamed(graph, [], rename, ({ number, content, raw }) => {
    if (number === GRAPH.node) return new ProtoWriter().bytes(number, renamedNode(content, rename)).finish();
    if (number === GRAPH.initializer) return new ProtoWriter().bytes(number, renamedTensor(content, rename)).finish();
    return number === GRAPH.input || number === GRAPH.output ? new ProtoWriter().bytes(number, renamedValue(content, rename)).finish() : raw;
  });
}

/** Names that a NodeProto takes, the empty ones left out, and gives. */
export function valuesOfNode(node: Uint8Array): { readonly inputs: readonly string[]; readonly outputs: readonly string[]; readonly hasGraphs: boolean } {
  const inputs: string[] = [], outputs: string[] = [];
  let hasGraphs = false;
  for (const field of memoryFields(node)) {
    if (field.number === NODE.input && field.content.length > 0) inputs.push(textOf(field));
    if (field.number === NODE.output) outputs.push(textOf(field));
    if (field.number === NODE.attribute) for (const part of memoryFields(field.content)) hasGraphs ||= part.number === ATTRIBUTE.graph || part.number === ATTRIBUTE.graphs;
  }
  return { inputs, outputs, hasGraphs };
}

/** The name of a TensorProto; where its bytes lie outside, everything but the name as one text (equal text is the same tensor), and how many bytes. */
export function externalTensor(tensor: Uint8Array): { readonly name: string; readonly place: string | null; readonly byteLength: number } {
  let name = '', isOutside = false, byteLength = 0;
  const rest: Uint8Array[] = [];
  for (const field of memoryFields(tensor)) {
    if (field.number === TENSOR_NAME) { name = textOf(field); continue; }
    rest.push(field.raw);
    if (field.number === 14) isOutside = field.value === 1;
    if (field.number === 13) {
      const [key, value] = [...memoryFields(field.content)].map(textOf);
      if (key === 'length') byteLength = Number(value);
    }
  }
  return { name, place: isOutside ? Buffer.from(concatBytes(rest)).toString('latin1') : null, byteLength };
}

/** The name of a ValueInfoProto. */
export function valueName(value: Uint8Array): string {
  for (const field of memoryFields(value)) if (field.number === VALUE_NAME) return textOf(field);
  return '';
}
