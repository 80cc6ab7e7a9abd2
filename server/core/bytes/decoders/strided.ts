import { CheckpointError } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Bytes of the storage held at a time. */
const WINDOW_BYTES = 4 * 2 ** 20;
/** Result bytes put together from one window. */
const BLOCK_BYTES = 2 ** 20;

/**
 * A view of a storage as contiguous bytes. Runs along the last axes are read at once; what is scattered is gathered from a
 * window of the storage, or a few of them where columns of a large matrix are far apart. Zero strides cost nothing.
 *
 * @throws CheckpointError `bad-encoding` when the view leaves its storage
 */
export function strided(source: ByteSource, step: Extract<EncodingStep, { kind: 'strided' }>): ByteSource {
  const { itemBytes, shape, strides, offset } = step;
  const elements = shape.reduce((product, size) => product * size, 1);
  let least = offset, most = offset;
  shape.forEach((size, axis) => {
    if (strides[axis] < 0) least += (size - 1) * strides[axis];
    else most += (size - 1) * strides[axis];
  });
  if (elements > 0 && (least < 0 || (most + 1) * itemBytes > source.byteLength)) {
    throw new CheckpointError('bad-encoding', { file: source.path }, `a view of items ${least} to ${most}, the storage has ${Math.floor(source.byteLength / itemBytes)}`);
  }
  const gatherer = new Gatherer(source, itemBytes);
  return {
    path: source.path,
    byteLength: elements * itemBytes,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const first = Math.floor(at / itemBytes), end = Math.min(Math.ceil(to / itemBytes), first + Math.floor(BLOCK_BYTES / itemBytes));
        const stop = Math.min(to, end * itemBytes), skip = at - first * itemBytes;
        const places = placesOf(first, end, shape, strides, offset);
        const bytes = gatherer.gather(places);
        into.set(bytes.subarray(skip, stop - first * itemBytes), at - from);
        at = stop;
      }
    },
    close: () => source.close(),
  };
}

/** Storage positions of the elements [first, end), in items. */
function placesOf(first: number, end: number, shape: readonly number[], strides: readonly number[], offset: number): Float64Array {
  const places = new Float64Array(end - first), index = new Array<number>(shape.length).fill(0);
  let rest = first, place = offset;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
    place += index[axis] * strides[axis];
  }
  for (let i = 0; i < places.length; i++) {
    places[i] = place;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++index[axis] < shape[axis]) break;
      place -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return places;
}

class Gatherer {
  private window = new Uint8Array(0);
  private from = 0;
  private to = 0;

  constructor(private readonly source: ByteSource, private readonly itemBytes: number) {}

  /** The items at `places`, one after the other. Visited window by window, so that each part of the storage is read once. */
  gather(places: Float64Array): Uint8Array {
    const { itemBytes } = this, out = new Uint8Array(places.length * itemBytes);
    let isRun = true, low = Infinity, high = -1;
    for (let i = 0; i < places.length; i++) {
      if (i > 0 && places[i] !== places[i - 1] + 1) isRun = false;
      low = Math.min(low, places[i]);
      high = Math.max(high, places[i]);
    }
    if (isRun && places.length > 0) {
      this.source.read(low * itemBytes, (high + 1) * itemBytes, out);
      return out;
    }
    const perWindow = Math.floor(WINDOW_BYTES / itemBytes);
    if (high - low < perWindow) {
      this.gatherFrom(places, low, out, 0, places.length);
      return out;
    }
    // Sorted by window: a scattered block touches each window of the storage once.
    const order = Uint32Array.from(places, (_, i) => i).sort((a, b) => places[a] - places[b]);
    for (let i = 0; i < order.length;) {
      const base = places[order[i]];
      // A gap wider than a page is cheaper skipped than read.
      let end = i + 1;
      while (end < order.length && places[order[end]] - base < perWindow && (places[order[end]] - places[order[end - 1]]) * itemBytes <= 4096) end++;
      this.hold(base, places[order[end - 1]]);
      for (; i < end; i++) this.take(places[order[i]], out, order[i] * itemBytes);
    }
    return out;
  }

  private gatherFrom(places: Float64Array, low: number, out: Uint8Array, from: number, to: number): void {
    let high = low;
    for (let i = from; i < to; i++) high = Math.max(high, places[i]);
    this.hold(low, high);
    for (let i = from; i < to; i++) this.take(places[i], out, i * this.itemBytes);
  }

  /** Makes the items [low, high] present. */
  private hold(low: number, high: number): void {
    const from = low * this.itemBytes, to = (high + 1) * this.itemBytes;
    if (from >= this.from && to <= this.to) return;
    const end = Math.min(this.source.byteLength, Math.max(to, from + (to - from)));
    if (this.window.length < end - from) this.window = new Uint8Array(end - from);
    this.source.read(from, end, this.window.subarray(0, end - from));
    this.from = from;
    this.to = end;
  }

  private take(place: number, out: Uint8Array, at: number): void {
    const from = place * this.itemBytes - this.from;
    for (let i = 0; i < this.itemBytes; i++) out[at + i] = this.window[from + i];
  }
}
