import type { Format } from './contract';
import { onnx } from './onnx/onnx';
import { gguf } from './gguf';
import { numpy } from './numpy/numpy';
import { pytorch } from './pytorch';
import { safetensors } from './safetensors';

/** Every container of tensors that is read. Tried in this order when only the content can tell. */
export const formats: readonly Format[] = [safetensors, pytorch, gguf, onnx, numpy];

/** @throws Error for an id that no checkpoint can carry */
export function formatOf(id: string): Format {
  const found = formats.find((format) => format.id === id);
  if (!found) throw new Error(`no format ${id}`);
  return found;
}
