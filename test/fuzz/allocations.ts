// Watches how much memory is asked for at once: a length out of a damaged file must never size anything.

/** Thrown where one allocation goes over the bound. Not a CheckpointError, so that it is a finding. */
export class TooMuchMemory extends Error {}

const constructors = ['ArrayBuffer', 'Uint8Array', 'Int8Array', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array', 'Array'] as const;

/**
 * Replaces the constructors of arrays and buffers by ones that count, until `restore` is called.
 *
 * @returns `limit` sets the most bytes that all allocations together may ask for from here on
 */
export function watchAllocations(): { limit(bytes: number): void; restore(): void } {
  let left = Infinity;
  const spend = (bytes: number): void => {
    left -= bytes;
    if (left < 0) throw new TooMuchMemory(`an allocation of ${bytes} bytes goes over the bound by ${-left}`);
  };
  const globals = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  const before = constructors.map((name) => [name, globals[name]] as const);
  for (const [name, original] of before) {
    const itemBytes = (original as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? (name === 'Array' ? 8 : 1);
    globals[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        if (typeof args[0] === 'number' && args.length === 1) spend(args[0] * itemBytes);
        return Reflect.construct(target, args, newTarget === globals[name] ? target : newTarget);
      },
    });
  }
  const buffers = (['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const).map((name) => [name, Buffer[name]] as const);
  for (const [name, original] of buffers) {
    Buffer[name] = ((size: number, ...rest: [never]) => {
      spend(size);
      return (original as (size: number, ...rest: unknown[]) => Buffer).call(Buffer, size, ...rest);
    }) as never;
  }
  return {
    limit: (bytes) => { left = bytes; },
    restore: () => {
      for (const [name, original] of before) globals[name] = original;
      for (const [name, original] of buffers) Buffer[name] = original as never;
    },
  };
}
