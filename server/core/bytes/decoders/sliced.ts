import { CheckpointError } from '../../errors';
import type { ByteSource } from '../byteSource';

/** The bytes [from, to) of a source. Closing it closes the source. @throws CheckpointError `bad-encoding` */
export function sliced(source: ByteSource, from: number, to: number): ByteSource {
  if (from < 0 || to < from || to > source.byteLength) {
    throw new CheckpointError('bad-encoding', { file: source.path }, `bytes ${from} to ${to} of ${source.byteLength}`);
  }
  if (from === 0 && to === source.byteLength) return source;
  return {
    path: source.path,
    byteLength: to - from,
    read: (first, end, into) => source.read(from + first, from + end, into),
    close: () => source.close(),
  };
}
