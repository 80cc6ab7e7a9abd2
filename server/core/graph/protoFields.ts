/** One field of a message in memory: its number, wire type, and where it lies, tag included and without. */
export interface MemoryField {
  readonly number: number;
  readonly wire: number;
  /** Of a varint; numbers above 2^53 are rounded. */
  readonly value: number;
  /** The whole field, tag and length included. */
  readonly raw: Uint8Array;
  /** The content of a length-delimited field. */
  readonly content: Uint8Array;
}

const decoder = new TextDecoder();
export const textOf = (field: MemoryField): string => decoder.decode(field.content);

/**
 * The fields of a protocol buffer message that this program wrote itself a moment ago; files of strangers go through
 * `formats/onnx/protoReader`.
 */
export function* memoryFields(message: Uint8Array): Generator<MemoryField> {
  let at = 0;
  const varint = (): number => {
    let value = 0, scale = 1, byte: number;
    do {
      byte = message[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  };
  while (at < message.length) {
    const from = at, tag = varint(), wire = tag % 8;
    let value = 0, start = at;
    if (wire === 0) value = varint();
    else if (wire === 2) {
      const length = varint();
      start = at;
      at += length;
    } else at += wire === 1 ? 8 : 4;
    yield { number: Math.floor(tag / 8), wire, value, raw: message.subarray(from, at), content: message.subarray(start, at) };
  }
}
