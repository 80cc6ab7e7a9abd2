import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bitsOfFloat32, infinityBits, patternAtLeast, patternAtMost, valueOfBits, type KernelFloat } from '../../../server/core/kernels/floatBits';
import { loadKernels } from '../../../server/core/kernels/kernels';
import { SLOTS } from '../../../server/core/kernels/layout';
import { magnitude, patterns, plainCut, plainMoments, plainSmallest, sizeOf, value } from './referee';

const kernels = loadKernels();
const floats: readonly KernelFloat[] = ['BF16', 'F16', 'F32'];

/** Patterns with all the odd ones: zeros of both signs, denormals, infinities, NaN payloads, and ties. */
const bitsOf = (dtype: KernelFloat): fc.Arbitrary<number> => {
  const sign = dtype === 'F32' ? 0x80000000 : 0x8000, inf = infinityBits[dtype], last = sign - 1;
  const odd = [0, 1, 2, inf - 1, inf, inf + 1, last].flatMap((bits) => [bits, bits + sign]);
  return fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...odd) }, { weight: 3, arbitrary: fc.integer({ min: 0, max: 2 * sign - 1 }) }, { weight: 2, arbitrary: fc.integer({ min: inf >> 1, max: (inf >> 1) + 5 }) });
};

const cases = (dtype: KernelFloat): fc.Arbitrary<{ offset: number; bits: number[] }> =>
  fc.record({ offset: fc.integer({ min: 0, max: 17 }), bits: fc.array(bitsOf(dtype), { maxLength: 90 }) });

/** Puts patterns at an offset of any alignment, with a guard on both sides. */
function place(dtype: KernelFloat, offset: number, bits: readonly number[]): void {
  kernels.buffer.fill(0xa5, 0, offset + bits.length * 4 + 64);
  const view = new DataView(kernels.buffer.buffer, kernels.buffer.byteOffset);
  bits.forEach((one, i) => (dtype === 'F32' ? view.setUint32(offset + 4 * i, one, true) : view.setUint16(offset + 2 * i, one, true)));
}

const sum = (counts: Iterable<number>): number => [...counts].reduce((a, b) => a + b, 0);

for (const dtype of ['BF16', 'F16'] as const) {
  test(`the ${dtype} histogram counts each pattern, sign included, at any offset and length`, () => {
    fc.assert(fc.property(cases(dtype), ({ offset, bits }) => {
      place(dtype, offset, bits);
      kernels.beginScan();
      kernels.histogram16(offset, bits.length);
      const table = kernels.tables();
      const expected = new Map<number, number>();
      for (const one of bits) expected.set(one, (expected.get(one) ?? 0) + 1);
      for (const [pattern, count] of expected) assert.equal(table[pattern], count);
      assert.equal(sum(table.filter((n) => n > 0)), bits.length);
    }), { numRuns: 60 });
  });
}

test('the first pass over F32 counts top halves and takes exact counts and stable moments beside them', () => {
  fc.assert(fc.property(cases('F32'), fc.double({ min: -1, noNaN: true }), ({ offset, bits }, threshold) => {
    place('F32', offset, bits);
    kernels.beginScan();
    kernels.scan32(offset, bits.length, patternAtMost('F32', threshold));
    const got = kernels.moments32(), table = kernels.tables(), values = bits.map((one) => value('F32', one)), want = plainMoments(values);
    for (const key of ['finite', 'nan', 'inf', 'zeros', 'min', 'max'] as const) assert.equal(got[key] + 0, want[key] + 0, key);
    assert.equal(got.above, values.filter((x) => Math.abs(x) > threshold).length, `above ${threshold}`);
    for (const top of new Set(bits.map((one) => one >>> 16))) assert.equal(table[top], bits.filter((one) => one >>> 16 === top).length);
    const scale = Math.max(...values.filter(Number.isFinite).map(Math.abs), 0);
    assert.ok(Math.abs(got.sum - want.sum) <= 1e-12 * scale * bits.length, `sum ${got.sum} ${want.sum}`);
    // The referee's own mean is rounded: equal values give it a tiny m2 where the kernel says 0.
    if (want.finite > 0) assert.ok(Math.abs(got.m2 - want.m2) <= 1e-12 * want.m2 + 1e-30 * scale * scale * bits.length, `m2 ${got.m2} ${want.m2}`);
  }), { numRuns: 2000 });
});

test('the standard deviation of F32 keeps its digits beside a mean a million times larger, over blocks and windows', () => {
  const n = 30_000, values = new Float32Array(n);
  for (let i = 0, x = 12345; i < n; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    values[i] = 1e6 + 4 * (x / 2 ** 31 - 0.5);
  }
  kernels.buffer.set(new Uint8Array(values.buffer), 3);
  kernels.beginScan();
  kernels.scan32(3, 12_345, -1);
  kernels.scan32(3 + 4 * 12_345, n - 12_345, -1);
  const got = kernels.moments32(), want = plainMoments([...values]);
  assert.ok(Math.abs(got.m2 / want.m2 - 1) < 1e-12, `${got.m2} ${want.m2}`);
  assert.ok(Math.abs(got.sum / want.sum - 1) < 1e-14);
});

test('refining F32 counts every magnitude inside the wanted keys and nothing else', () => {
  fc.assert(fc.property(cases('F32'), fc.integer({ min: 1, max: SLOTS }), ({ offset, bits }, wanted) => {
    place('F32', offset, bits);
    const keys = [...new Set([...bits.map((one) => (one >>> 16) & 0x7fff), 5])].slice(0, wanted).sort((a, b) => a - b);
    kernels.beginRefine(keys);
    kernels.refine32(offset, bits.length, keys[0], keys[keys.length - 1]);
    keys.forEach((key, slot) => {
      const table = kernels.slotTable(slot), inside = bits.filter((one) => ((one >>> 16) & 0x7fff) === key);
      assert.equal(sum(table.filter((n) => n > 0)), inside.length);
      for (const one of inside) assert.equal(table[one & 0xffff], inside.filter((other) => (other & 0xffff) === (one & 0xffff)).length);
    });
  }), { numRuns: 60 });
});

for (const dtype of floats) {
  test(`masking ${dtype} writes +0 over exactly what is below the limit, touches no NaN and nothing outside`, () => {
    fc.assert(fc.property(cases(dtype), bitsOf(dtype), ({ offset, bits }, raw) => {
      const limit = Math.min(raw % (dtype === 'F32' ? 0x80000000 : 0x8000), infinityBits[dtype] + 1);
      place(dtype, offset, bits);
      const before = kernels.buffer.slice(0, offset + bits.length * sizeOf(dtype) + 32);
      const got = kernels.mask(dtype, offset, bits.length, limit);
      const want = limit > infinityBits[dtype] ? plainCut(dtype, bits, Infinity, bits.length) : plainCut(dtype, bits, valueOfBits(dtype, limit), 0);
      assert.deepEqual(patterns(dtype, kernels.buffer, offset, bits.length), want.out);
      assert.deepEqual(got, { zeros: want.zeros, changed: want.changed });
      const end = offset + bits.length * sizeOf(dtype);
      assert.deepEqual(kernels.buffer.slice(0, offset), before.slice(0, offset));
      assert.deepEqual(kernels.buffer.slice(end, end + 32), before.slice(end));
    }), { numRuns: 200 });
  });

  test(`counting ${dtype} tells below from equal and never counts NaN for a magnitude`, () => {
    fc.assert(fc.property(cases(dtype), fc.double({ min: 0, noNaN: true }), fc.boolean(), ({ offset, bits }, free, pick) => {
      place(dtype, offset, bits);
      const own = bits.map((one) => magnitude(dtype, one)).find((m) => !Number.isNaN(m)) ?? 1;
      const at = pick ? own : free, pattern = patternAtLeast(dtype, at);
      const got = kernels.count(dtype, offset, bits.length, pattern.bits);
      assert.equal(got.less, bits.filter((one) => magnitude(dtype, one) < at).length);
      assert.equal(pattern.equal ? got.equal : 0, bits.filter((one) => magnitude(dtype, one) === at).length);
    }), { numRuns: 200 });
  });

  test(`the pattern bounds of ${dtype} bracket any double`, () => {
    fc.assert(fc.property(fc.double({ min: 0, noNaN: true }), (t) => {
      const least = patternAtLeast(dtype, t), most = patternAtMost(dtype, t);
      assert.ok(valueOfBits(dtype, least.bits) >= t);
      assert.ok(least.bits === 0 || valueOfBits(dtype, least.bits - 1) < t);
      assert.ok(most === -1 || valueOfBits(dtype, most) <= t);
      assert.equal(least.equal, most === least.bits);
    }));
    assert.equal(patternAtMost(dtype, -1), -1);
    assert.equal(patternAtMost(dtype, Infinity), infinityBits[dtype]);
  });
}

for (const dtype of floats) {
  test(`the smallest of ${dtype} are chosen by magnitude, then by position, at any stride`, () => {
    fc.assert(fc.property(cases(dtype), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 40 }), ({ offset, bits }, stride, wanted) => {
      place(dtype, offset, bits);
      const own = bits.map((_, i) => i).filter((i) => i % stride === 0), selected = new Set(plainSmallest(dtype, bits, own, wanted));
      const changed = kernels.smallest(dtype, offset, own.length, stride, wanted);
      assert.deepEqual(patterns(dtype, kernels.buffer, offset, bits.length), bits.map((one, i) => (selected.has(i) ? 0 : one)));
      assert.equal(changed, [...selected].filter((i) => magnitude(dtype, bits[i]) !== 0).length);
    }), { numRuns: 150 });
  });

  test(`groups of ${dtype} lose their smallest, side by side and column by column`, () => {
    fc.assert(fc.property(cases(dtype), fc.integer({ min: 1, max: 8 }), fc.nat(8), fc.boolean(), ({ offset, bits }, of, some, along) => {
      place(dtype, offset, bits);
      const count = Math.floor(bits.length / of), drop = Math.min(some, of), selected = new Set<number>();
      for (let g = 0; g < count; g++) {
        const group = Array.from({ length: of }, (_, j) => (along ? g * of + j : g + j * count));
        for (const i of plainSmallest(dtype, bits, group, drop)) selected.add(i);
      }
      const changed = along ? kernels.groups(dtype, offset, count, of, of, 1, drop) : kernels.groups(dtype, offset, count, 1, of, count, drop);
      assert.deepEqual(patterns(dtype, kernels.buffer, offset, bits.length), bits.map((one, i) => (selected.has(i) ? 0 : one)));
      assert.equal(changed, [...selected].filter((i) => magnitude(dtype, bits[i]) !== 0).length);
    }), { numRuns: 150 });
  });
}

test('long windows keep their counters: a million equal BF16 are counted and masked', () => {
  const n = 1_000_003;
  kernels.buffer.fill(0x3c, 0, 2 * n);
  kernels.beginScan();
  kernels.histogram16(0, n);
  assert.equal(kernels.tables()[0x3c3c], n);
  assert.deepEqual(kernels.count('BF16', 0, n, 0x3c3c), { less: 0, equal: n });
  assert.deepEqual(kernels.mask('BF16', 0, n, 0x3c3d), { zeros: 0, changed: n });
  assert.deepEqual(kernels.mask('BF16', 0, n, 1), { zeros: n, changed: 0 });
});

test('a window that leaves the buffer is refused before the kernel runs', () => {
  assert.throws(() => kernels.histogram16(kernels.buffer.length - 2, 2), RangeError);
  assert.throws(() => kernels.mask('F32', -4, 1, 0), RangeError);
  assert.throws(() => kernels.mask('BF16', 0, 1, 0x7f82), RangeError);
  assert.equal(bitsOfFloat32(1), 0x3f800000);
});
