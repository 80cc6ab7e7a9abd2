/** How to get the weights out of a file of a kind that is not read. */
interface Foreign {
  readonly is: (file: { readonly text: string; readonly head: Uint8Array; readonly name: string }) => boolean;
  /** What it is, and the way to a format that is read. */
  readonly says: string;
}

const begins = (magic: string) => ({ text }: { readonly text: string }): boolean => text.startsWith(magic);
const named = (pattern: RegExp) => ({ name }: { readonly name: string }): boolean => pattern.test(name);
const isZip = begins('PK\x03\x04');

/** Containers that are known but not read. The first that fits names the file. */
const kinds: readonly Foreign[] = [
  { is: (file) => isZip(file) && /\.keras$/i.test(file.name), says: 'a Keras archive (.keras); load it with keras.saving.load_model and save the arrays with numpy.savez or safetensors' },
  { is: (file) => isZip(file) || file.text.startsWith('PK\x05\x06'), says: 'a zip archive without the parts of a checkpoint' },
  { is: begins('\x89HDF\r\n\x1a\n'), says: 'HDF5, as Keras writes weights (.h5); load it in transformers with from_tf=True, or in Keras, and save it as safetensors' },
  { is: ({ text }) => /^(ggml|lmgg|fmgg|tjgg|algg)/.test(text), says: 'a GGML file of before GGUF; convert it with the convert scripts of llama.cpp' },
  { is: ({ text }) => text.slice(257, 262) === 'ustar', says: 'a tar archive; unpack it and open the checkpoint inside' },
  { is: begins('\x93NUMPY'), says: 'a NumPy array' },
  { is: begins('\x1f\x8b'), says: 'compressed with gzip; unpack it first' },
  { is: begins('\x28\xb5\x2f\xfd'), says: 'compressed with zstd; unpack it first' },
  { is: begins('\xfd7zXZ\0'), says: 'compressed with xz; unpack it first' },
  { is: begins('BZh'), says: 'compressed with bzip2; unpack it first' },
  { is: ({ text }) => text.slice(4, 8) === 'TFL3', says: 'a TensorFlow Lite model; convert the model that it was made from' },
  { is: ({ text }) => text.slice(4, 8) === 'ORTM', says: 'an ONNX Runtime model (.ort); open the .onnx file that it was made from' },
  { is: begins('ftrt'), says: 'a TensorRT engine, made for one kind of GPU; open the model that it was built from' },
  { is: ({ head }) => head[0] === 0x80 && head[1] >= 2 && head[1] <= 5, says: 'a Python pickle without the parts of a checkpoint' },
  { is: ({ head, text }) => isMsgpackMap(head) && /^[\x20-\x7e]{1,31}/.test(text.slice(head[0] === 0xde ? 4 : 2)), says: 'Flax msgpack (.msgpack); load it in transformers with from_flax=True and save it as safetensors' },
  { is: named(/(^|[\\/])saved_model\.pb(txt)?$/i), says: 'the graph of a TensorFlow SavedModel; load the model in TensorFlow and save its arrays with numpy.savez or safetensors' },
  { is: named(/\.data-\d{5}-of-\d{5}$|\.ckpt(-\d+)?\.(index|meta)$|[\\/]variables\.index$/i), says: 'a part of a TensorFlow checkpoint; load it in TensorFlow (tf.train.load_checkpoint) and save the arrays with numpy.savez or safetensors' },
  { is: named(/\.mlmodel$/i), says: 'a Core ML model; convert the model that it was made from' },
  { is: ({ text, name }) => /^[\s\ufeff]*[[{]\s*["[{\]}]/.test(text) && !/\.safetensors$/i.test(name), says: 'JSON text, not weights; name the weight file or the model folder' },
];

/** A map of msgpack whose first key is text. (0x80 begins a pickle.) */
function isMsgpackMap(head: Uint8Array): boolean {
  const key = head[0] > 0x80 && head[0] <= 0x8f ? head[1] : head[0] === 0xde ? head[3] : 0;
  return key > 0xa0 && key <= 0xbf;
}

/** What a file is that no format here reads, told from its first bytes and its name; null for the unknown. */
export function foreignKind(head: Uint8Array, name: string): string | null {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1');
  return kinds.find((kind) => kind.is({ text, head, name }))?.says ?? null;
}
