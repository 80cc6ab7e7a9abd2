import { closeSync, openSync, writeSync } from 'node:fs';
import type { ByteSource, IoMode } from './bytes/byteSource';
import { openTensor } from './bytes/decodedSource';
import { prepareSpill } from './bytes/decoders/prepareSpill';
import { readWholeText } from './bytes/readWhole';
import { throwIfCancelled } from './errors';
import type { Problem } from './errors';
import type { Checkpoint, GeneratedFile } from './formats/contract';
import { MAX_CONFIG_BYTES } from './formats/modelConfig';
import { isRewritten, writtenParts } from './formats/written';
import { aligned, layOutFile, layOutLike, namesLeftOut } from './formats/writeSafetensors';
import type { FileLayout } from './formats/writeSafetensors';
import type { Job, Progress } from './job';
import { publish } from './pruning/publish';
import type { Published, PublishedFile, Stage } from './pruning/publish';
import type { Sidecar } from './pruning/sidecars';
import { resolveTarget } from './pruning/target';
import type { Target } from './pruning/target';
import { decodeInto } from './tensor/decode';
import { dtypes } from './tensor/dtype';
import type { DType } from './tensor/dtype';
import { convertible, encodeInto } from './tensor/narrow';
import type { Convertible } from './tensor/narrow';
import { valueBytes, type TensorInfo } from './tensor/tensorInfo';

/** Elements converted in one step. A multiple of WHOLE_BYTES. */
const WINDOW_ELEMENTS = 2 ** 19;

export interface ConvertOptions {
  readonly out: string;
  readonly force: boolean;
  readonly io: IoMode;
  /** Null keeps every dtype. */
  readonly dtype: Convertible | null;
  /** Copies that are names only, with the names that are kept (models/sharedCopies.ts). */
  readonly leftOut?: ReadonlyMap<string, string>;
}

export interface Converted {
  readonly out: string;
  /** Of the weight files. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
}

/**
 * Writes a checkpoint as safetensors, same files and metadata, floats of 16 bits and more as `dtype` (round to nearest,
 * ties to even), everything else bit for bit. Streams by windows; written beside and renamed.
 *
 * @throws CheckpointError as `resolveTarget` and `publish`, and what reading throws
 */
export async function* convertCheckpoint(source: Checkpoint, options: ConvertOptions, signal?: AbortSignal): Job<Converted> {
  const target = resolveTarget(source, { out: options.out, force: options.force, suffix: options.dtype ?? 'safetensors', as: 'safetensors' });
  const { answer: problems, bytes } = yield* writeValues(source, target, options, (sidecar) => withDtype(sidecar, options.dtype), signal);
  return { out: target.path, bytes, problems };
}

/**
 * Writes the values of every tensor, however they are encoded, into safetensors files beside the target, and renames them.
 *
 * @param options `anew`: headers are made from the tensors even where nothing else asks for it (their shapes are not those of the file)
 * @param edit changes a small file on its way
 */
export async function* writeValues(
  source: Checkpoint, target: Target, options: Pick<ConvertOptions, 'io' | 'dtype' | 'leftOut'> & { readonly anew?: true; readonly account?: (files: readonly PublishedFile[]) => Promise<GeneratedFile> }, edit: (sidecar: Sidecar) => Sidecar, signal?: AbortSignal,
): Job<Published<readonly Problem[]>> {
  const parts = writtenParts(source, 'safetensors'), rewritten = isRewritten(source, 'safetensors');
  const leftOut = options.leftOut ?? new Map<string, string>();
  const layouts = parts.map((part) => {
    if (options.dtype === null && !rewritten && !options.anew) return layOutLike(source, part[0]);
    const file = source.files[part[0]], held = inFiles(source, part), tensors = held.filter(({ name }) => !leftOut.has(name)).map(({ name, dtype, shape }) => ({ name, shape, dtype: targetDType(dtype, options.dtype) }));
    return layOutFile(rewritten ? aligned(tensors) : tensors, rewritten ? { format: 'pt', ...file.metadata, ...namesLeftOut(held, leftOut) } : file.metadata, file.path);
  });
  return yield* publish(source, target, layouts, (stage) => fill(source, parts, layouts, stage, options, signal), signal, { as: 'safetensors', edit, ...(options.account && { account: (_, files) => options.account!(files) }) });
}

/** What config.json calls the dtypes. */
const TORCH_NAMES: Record<Convertible, string> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** config.json says which dtype to load the weights as; left at the old one, transformers would widen what was narrowed. */
function withDtype(sidecar: Sidecar, dtype: Convertible | null): Sidecar {
  if (sidecar.name !== 'config.json' || dtype === null) return sidecar;
  let config: unknown;
  try { config = JSON.parse(sidecar.text ?? readWholeText(sidecar.path, MAX_CONFIG_BYTES)); } catch { return sidecar; } // what cannot be read is copied as it is
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return sidecar;
  const key = 'torch_dtype' in config && !('dtype' in config) ? 'torch_dtype' : 'dtype';
  return withText(sidecar, { ...config, [key]: TORCH_NAMES[dtype] });
}

/** A JSON file with another content. */
export function withText(sidecar: Sidecar, json: unknown): Sidecar {
  const text = `${JSON.stringify(json, null, 2)}\n`;
  return { ...sidecar, text, bytes: Buffer.byteLength(text) };
}

/** The tensors of some files in the order of their bytes. */
const inFiles = (source: Checkpoint, files: readonly number[]): TensorInfo[] => source.tensors.filter((info) => files.includes(info.file)).sort((a, b) => a.file - b.file || a.from - b.from);

const isConvertible = (dtype: DType): dtype is Convertible => (convertible as readonly string[]).includes(dtype);

const targetDType = (dtype: DType, wanted: Convertible | null): DType => (wanted !== null && isConvertible(dtype) ? wanted : dtype);

async function* fill(source: Checkpoint, parts: readonly (readonly number[])[], layouts: readonly FileLayout[], stage: Stage, options: Pick<ConvertOptions, 'io' | 'dtype'>, signal?: AbortSignal): Job<readonly Problem[]> {
  const problems: Problem[] = [];
  const total = source.tensors.reduce((sum, info) => sum + valueBytes(info), 0);
  let done = 0;
  for (const [number, layout] of layouts.entries()) {
    const fd = openSync(stage.files[number], 'r+');
    let bytes: ByteSource | null = null;
    try {
      writeAll(fd, layout.head, 0);
      for (const info of inFiles(source, parts[number])) {
        const wanted = targetDType(info.dtype, options.dtype), at = layout.places.get(info.name)?.from;
        if (at === undefined) continue;
        const place = { file: source.files[info.file].path, tensor: info.name };
        if (options.dtype !== null && wanted !== options.dtype && dtypes[info.dtype].kind === 'float') problems.push({ code: 'unsupported-dtype', where: place, detail: `${info.dtype} is kept` });
        bytes?.close();
        await prepareSpill(source.files[info.file], info, signal);
        bytes = openTensor(source.files[info.file], info, options.io);
        const window = new Window(info, wanted);
        for (let first = 0; first < info.elements; first += WINDOW_ELEMENTS) {
          throwIfCancelled(signal);
          yield { stage: 'convert', done, total, unit: 'bytes' } satisfies Progress;
          const { from, to } = window.range(first);
          bytes.read(from, to, window.input);
          writeAll(fd, window.convert(first), at + window.offset(first));
          done += to - from;
          await new Promise((resolve) => { setImmediate(resolve); });
        }
        if (window.overflowed > 0) problems.push({ code: 'became-infinite', where: place, detail: `${window.overflowed} of ${info.elements} values are beyond ${wanted}` });
      }
    } finally {
      closeSync(fd);
      bytes?.close();
    }
    stage.complete(stage.files[number]);
  }
  return problems;
}

/** The buffers of one tensor on its way from one dtype to another. */
class Window {
  readonly input: Uint8Array<ArrayBuffer>;
  private readonly values: Float64Array;
  private readonly output: Uint8Array<ArrayBuffer>;
  overflowed = 0;

  constructor(private readonly info: TensorInfo, private readonly wanted: DType) {
    const most = Math.min(WINDOW_ELEMENTS, info.elements), whole = (bits: number): number => Math.ceil((most * bits) / 64) * 8;
    const converts = wanted !== info.dtype;
    this.input = new Uint8Array(whole(dtypes[info.dtype].bits));
    this.values = new Float64Array(converts ? most : 0);
    this.output = converts ? new Uint8Array(whole(dtypes[wanted].bits)) : this.input;
  }

  private elements(first: number): number {
    return Math.min(WINDOW_ELEMENTS, this.info.elements - first);
  }

  /** Bytes of the values. */
  range(first: number): { from: number; to: number } {
    const { bits } = dtypes[this.info.dtype], from = (first * bits) / 8;
    return { from, to: from + (this.elements(first) * bits) / 8 };
  }

  /** Offset in the written tensor. */
  offset(first: number): number {
    return (first * dtypes[this.wanted].bits) / 8;
  }

  convert(first: number): Uint8Array {
    const n = this.elements(first);
    if (this.wanted !== this.info.dtype) {
      decodeInto(this.info.dtype, this.input, n, this.values);
      this.overflowed += encodeInto(this.wanted as Convertible, this.values, n, this.output);
    }
    return this.output.subarray(0, (n * dtypes[this.wanted].bits) / 8);
  }
}

function writeAll(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}
