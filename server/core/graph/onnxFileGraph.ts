import { openSource } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { withFile } from '../formats/fileHead';
import { onnxTypeOf } from '../formats/onnx/onnxTypes';
import { ProtoReader, type ProtoField } from '../formats/onnx/protoReader';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import { elementTypes, GraphBuilder, rootOf, type ElementType, type Value } from './builder';
import type { GraphOptions, ModelGraph } from './contract';
import { hitsOutput, LOG_PROBABILITIES } from './lossHead';
import { concatBytes, ProtoWriter } from './protobuf';
import { thresholdInput } from './weights';

/** Initializers below this many bytes stay in the graph: shapes and axes, which ONNX Runtime wants to see at once. */
const INLINE_BYTES = 1024;
/** The most that the graph may take without its weights. */
const MAX_GRAPH_BYTES = 256 * 2 ** 20;
const MAX_TEXT = 65_536;
/** LessOrEqual is of opset 12. */
const MIN_OPSET = 12;

/** A graph input or output: its element type and sizes; text for a free one, null for an unnamed one. */
interface Port { readonly name: string; readonly type: number; readonly dims: readonly (number | string | null)[] }

/**
 * The graph of an ONNX file as an evaluation graph: its nodes byte for byte, its weights by reference where they lie, its
 * inputs besides `input_ids` made inside, and the losses of the scored positions computed from its `logits`. Neither
 * weights nor logits leave the runtime.
 *
 * @throws CheckpointError `unsupported-config` when it has no `input_ids` -> `logits`, or inputs that nobody can make up
 */
export function buildOnnxFileGraph(checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const file = checkpoint.files[0];
  return withFile(file.realPath, (fd, byteLength) => new Rebuilder(new ProtoReader(fd, file.path, byteLength), checkpoint, options).build());
}

class Rebuilder {
  private readonly g = new GraphBuilder('winnow', 'winnow_');
  private readonly tensors: ReadonlyMap<string, TensorInfo>;
  private readonly maskable: ReadonlySet<string>;
  private readonly parts: Uint8Array[] = [];
  private bytes = 0;
  private weightBytes = 0;
  private foldedBytes = 0;
  private root: string | null = null;

  constructor(private readonly reader: ProtoReader, private readonly checkpoint: Checkpoint, private readonly options: GraphOptions) {
    this.tensors = new Map(checkpoint.tensors.filter((tensor) => tensor.section !== 'constant').map((tensor) => [tensor.name, tensor]));
    this.maskable = new Set(options.masking === 'thresholds' ? options.maskable : []);
  }

  build(): ModelGraph {
    const { reader } = this, model: Uint8Array[] = [];
    let graph: ProtoField | null = null, opset = 0;
    for (const field of reader.fields(0, reader.byteLength)) {
      if (field.number === 7) { graph = field; continue; }
      if (field.number === 8) opset = Math.max(opset, this.opsetOf(field));
      model.push(this.copy(field));
    }
    if (graph === null) throw reader.damaged(0, 'there is no graph');
    if (opset < MIN_OPSET) throw this.refuse(`the graph is of opset ${opset}, evaluation needs ${MIN_OPSET}`);
    const logits = this.graph(graph);
    const { early, late } = this.g.fragment();
    const body = concatBytes([early, ...this.parts, late]);
    return {
      bytes: concatBytes([...model, new ProtoWriter().bytes(7, body).finish()]),
      root: this.root ?? rootOf(this.checkpoint.files[0].realPath),
      thresholdInputs: this.options.masking === 'thresholds' ? this.options.maskable.map(thresholdInput) : [],
      weightBytes: this.weightBytes, foldedBytes: this.foldedBytes,
      activationBytesPerToken: 2 ** 17 + 12 * logits.vocab, vocabSize: logits.vocab,
    };
  }

  private refuse(what: string): CheckpointError {
    return new CheckpointError('unsupported-config', { file: this.checkpoint.files[0].path }, what);
  }

  private copy(field: ProtoField): Uint8Array {
    this.bytes += field.to - field.tagFrom;
    if (this.bytes > MAX_GRAPH_BYTES) throw this.refuse(`the graph takes more than ${MAX_GRAPH_BYTES} bytes beside its weights`);
    return this.reader.raw(field.tagFrom, field.to);
  }

  private opsetOf(field: ProtoField): number {
    let domain = '', version = 0;
    for (const part of this.reader.fields(...this.reader.message(field))) {
      if (part.number === 1) domain = this.reader.text(part, MAX_TEXT);
      else if (part.number === 2) version = part.value;
    }
    return domain === '' || domain === 'ai.onnx' ? version : 0;
  }

  private graph(graph: ProtoField): { vocab: number } {
    const { reader } = this, inputs: { port: Port; field: ProtoField }[] = [], initialized = new Set<string>();
    let logits: Port | null = null;
    for (const field of reader.fields(...reader.message(graph))) {
      if (field.number === 5) initialized.add(this.initializer(field));
      else if (field.number === 11) inputs.push({ port: this.port(field), field });
      else if (field.number === 12) {
        const port = this.port(field);
        if (port.name === 'logits') logits = port;
      } else this.parts.push(this.copy(field));
    }
    const ids = inputs.find(({ port }) => port.name === 'input_ids');
    if (!ids || logits === null) throw this.refuse(`the graph has no ${ids ? 'output `logits`' : 'input `input_ids`'}`);
    if (ids.port.type !== elementTypes.I64) throw this.refuse('`input_ids` is not int64');
    this.parts.push(this.copy(ids.field));
    for (const { port, field } of inputs) {
      if (port.name === 'input_ids') continue;
      // Old exporters list initializers among the inputs; those are no inputs to a caller.
      if (initialized.has(port.name)) { if (!this.maskable.has(port.name)) this.parts.push(this.copy(field)); } else this.g.first(() => this.makeInput(port));
    }
    return { vocab: this.losses(logits) };
  }

  private port(field: ProtoField): Port {
    const { reader } = this, dims: (number | string | null)[] = [];
    let name = '', type = 0;
    for (const part of reader.fields(...reader.message(field))) {
      if (part.number === 1) name = reader.text(part, MAX_TEXT);
      if (part.number !== 2) continue;
      for (const kind of reader.fields(...reader.message(part))) if (kind.number === 1) for (const inner of reader.fields(...reader.message(kind))) {
        if (inner.number === 1) type = inner.value;
        if (inner.number === 2) for (const dim of reader.fields(...reader.message(inner))) if (dim.number === 1 && dims.length < 64) {
          let size: number | string | null = null;
          for (const value of reader.fields(...reader.message(dim))) size = value.number === 1 ? value.value : value.number === 2 ? reader.text(value, MAX_TEXT) : size;
          dims.push(size);
        }
      }
    }
    return { name, type, dims };
  }

  /** Adds one initializer, by reference unless it is small, masked where that is asked. @returns its name */
  private initializer(field: ProtoField): string {
    const { reader, options } = this;
    let name = '', dataType = 0, isOutside = false;
    for (const part of reader.fields(...reader.message(field))) {
      if (part.number === 14) isOutside = part.value === 1;
      if (part.number === 8) name = reader.text(part, MAX_TEXT);
      else if (part.number === 2) dataType = part.value;
    }
    const info = this.tensors.get(name), overlay = options.overlay?.get(name);
    // Integers that the graph dequantises are decoded for people only; the runtime takes them as they are.
    const integers = info?.encoding?.every((step) => step.kind === 'affine') === true && info.from % ((info.storedBits ?? 8) / 8) === 0;
    const size = info === undefined ? 0 : integers ? info.to - info.from : valueBytes(info), masked = this.maskable.has(name);
    if (info === undefined || (info.storedBits !== undefined && !integers) || (size < INLINE_BYTES && !masked && !overlay)) {
      this.parts.push(info !== undefined && isOutside ? this.inline(info, dataType) : this.copy(field));
      return name;
    }
    if (info.encoding && !integers) throw new CheckpointError('internal', { tensor: name }, 'an encoded weight has to be materialised first');
    const place = overlay ?? { realPath: this.checkpoint.files[info.file].realPath, from: info.from, byteLength: size };
    const root = rootOf(place.realPath);
    this.root ??= root;
    if (root !== this.root) throw new CheckpointError('runtime-failed', { file: place.realPath }, `weights lie on two drives, ${this.root} and ${root}`);
    const stored = masked ? `winnow_stored_${name}` : name;
    const tensor = new ProtoWriter().ints(1, info.shape).int(2, dataType).string(8, stored);
    const entries = { location: place.realPath.slice(root.length).replaceAll('\\', '/'), offset: String(place.from), length: String(place.byteLength) };
    for (const [key, value] of Object.entries(entries)) tensor.message(13, new ProtoWriter().string(1, key).string(2, value));
    this.parts.push(new ProtoWriter().message(5, tensor.int(14, 1)).finish());
    this.weightBytes += size;
    if (masked) {
      this.mask(name, stored, dataType);
      this.foldedBytes = Math.max(this.foldedBytes, info.elements * 9 + size);
    }
    return name;
  }

  /** An initializer of a data file as one of the graph. */
  private inline(info: TensorInfo, dataType: number): Uint8Array {
    const raw = new Uint8Array(info.to - info.from);
    this.bytes += raw.length;
    if (this.bytes > MAX_GRAPH_BYTES) throw this.refuse(`the graph takes more than ${MAX_GRAPH_BYTES} bytes beside its weights`);
    const source = openSource(this.checkpoint.files[info.file], 'pread');
    try {
      source.read(info.from, info.to, raw);
    } finally {
      source.close();
    }
    return new ProtoWriter().message(5, new ProtoWriter().ints(1, info.shape).int(2, dataType).string(8, info.name).bytes(9, raw)).finish();
  }

  /** W becomes Where(|W| <= t, +0, W); compared in F32. NaN compares false and is kept. */
  private mask(name: string, stored: Value, dataType: number): void {
    const { g } = this;
    const input = g.input(thresholdInput(name), 'F32', []);
    g.first(() => {
      const wide = dataType === elementTypes.F32 ? stored : g.cast(stored, 'F32');
      const small = g.op('LessOrEqual', [g.op('Abs', [wide]), input]);
      const masked = g.op('Where', [small, g.float(0), wide]);
      const type = (Object.keys(elementTypes) as ElementType[]).find((one) => elementTypes[one] === dataType) ?? 'F32';
      g.alias(name, dataType === elementTypes.F32 ? masked : g.cast(masked, type));
      return name;
    });
  }

  /** Inputs whose values follow from the ids: no padding, positions from 0, no cache. */
  private makeInput(port: Port): Value {
    const { g } = this, { name } = port;
    const type = (Object.keys(elementTypes) as ElementType[]).find((one) => elementTypes[one] === port.type);
    if (type === undefined) throw this.refuse(`the input ${name} is of data type ${onnxTypeOf(port.type)?.title ?? port.type}`);
    const shape = g.op('Shape', ['input_ids']);
    const like = (value: number): Value => g.op('Expand', [g.ints64([value], []), shape]);
    const made = (): Value => {
      if (/^(decoder_)?attention_mask$/.test(name) && port.dims.length === 2) return like(1);
      if (name === 'token_type_ids') return like(0);
      if (name === 'position_ids' && port.dims.length === 2) {
        const length = g.op('Gather', [shape, g.ints64([1], [])]);
        return g.op('Expand', [g.op('Range', [g.ints64([0], []), length, g.ints64([1], [])]), shape]);
      }
      if (name === 'use_cache_branch') return g.ints64([0]);
      if (/^past_key_values\./.test(name) && port.dims.length === 4 && typeof port.dims[1] === 'number' && typeof port.dims[3] === 'number') {
        const batch = g.op('Gather', [shape, g.ints64([0])]);
        return g.op('Expand', [g.ints64([0], []), g.op('Concat', [batch, g.ints64([port.dims[1], 0, port.dims[3]])], { axis: { i: 0 } })]);
      }
      throw this.refuse(`the graph wants an input ${name}, which does not follow from the text`);
    };
    const value = made();
    g.alias(name, type === 'I64' ? value : g.cast(value, type));
    return name;
  }

  /** Losses of the scored positions, as all graphs here have them. @returns the vocabulary's size, 0 when it is free */
  private losses(logits: Port): number {
    const { g } = this;
    const positions = g.input('positions', 'I64', ['batch', 'scored']), targets = g.input('targets', 'I64', ['batch', 'scored']);
    const shape = g.op('Shape', ['logits']), pick = (axis: number, scalar: boolean): Value => g.op('Gather', [shape, scalar ? g.ints64([axis], []) : g.ints64([axis])]);
    const index = g.op('Range', [g.ints64([0], []), pick(0, true), g.ints64([1], [])]);
    const rows = g.op('Add', [positions, g.op('Mul', [g.reshape(index, [-1, 1]), pick(1, false)])]);
    const flat = g.op('Reshape', ['logits', g.op('Concat', [g.ints64([-1]), pick(2, false)], { axis: { i: 0 } })]);
    const scored = g.op('Gather', [flat, g.reshape(rows, [-1])], { axis: { i: 0 } });
    const wide = logits.type === elementTypes.F32 ? scored : g.cast(scored, 'F32');
    const target = g.reshape(targets, [-1, 1]);
    const logProbabilities = g.op('LogSoftmax', [wide], { axis: { i: 1 } });
    if (this.options.withLogProbabilities) g.alias(LOG_PROBABILITIES, logProbabilities);
    const picked = g.op('GatherElements', [logProbabilities, target], { axis: { i: 1 } });
    g.output('losses', g.op('Reshape', [g.op('Neg', [picked]), g.op('Shape', [targets])]), 'F32', ['batch', 'scored']);
    if (this.options.withHits) hitsOutput(g, wide, target, targets);
    if (this.options.withLogits) this.parts.push(new ProtoWriter().message(12, valueInfoOf('logits')).finish());
    const vocab = logits.dims[2];
    return typeof vocab === 'number' && Number.isSafeInteger(vocab) ? vocab : 0;
  }
}

/** An output whose type is inferred. */
const valueInfoOf = (name: string): ProtoWriter => new ProtoWriter().string(1, name);
