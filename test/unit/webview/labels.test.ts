import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { heightAt, keepApart, labelLines, spread } from '../../../webview/labels';

test('labels that have room stay where they are', () => {
  assert.deepEqual(spread([10, 40, 80], 12, 0, 100), [10, 40, 80]);
  assert.deepEqual(spread([], 12, 0, 100), []);
});

test('labels end up apart, in their order, inside the box', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 9 }), (wanted) => {
    const placed = spread(wanted, 12, 0, 200);
    const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b] || a - b);
    order.forEach((i, k) => {
      assert.ok(placed[i] >= -1e-9 && placed[i] <= 200 + 1e-9);
      if (k > 0) assert.ok(placed[i] - placed[order[k - 1]] >= 12 - 1e-9);
    });
  }));
});

test('two labels in one place part evenly', () => {
  assert.deepEqual(spread([50, 50], 12, 0, 100), [44, 56]);
});

test('ticks that would touch are left out, the ends stay', () => {
  assert.deepEqual(keepApart([0, 10, 50, 90, 95, 99], 8), [true, true, true, true, false, true]);
  assert.deepEqual(keepApart([0, 10, 50, 90, 95, 99], 3), [true, true, true, true, true, true]);
  assert.deepEqual(keepApart([0, 1], 8), [true, false]);
  assert.deepEqual(keepApart([], 8), []);
});

test('a line has a height only where it is', () => {
  const line = { points: [{ x: 0, y: 10 }, { x: 10, y: 30 }] };
  assert.equal(heightAt(line, 5), 20);
  assert.equal(heightAt(line, 11), null);
});

test('labels on lines keep away from the other lines and from each other', () => {
  const box = { left: 0, right: 400, top: 0, bottom: 160 };
  const lines = [{ points: [{ x: 0, y: 80 }, { x: 400, y: 80 }] }, { points: [{ x: 0, y: 78 }, { x: 400, y: 150 }] }, { points: [{ x: 0, y: 5 }, { x: 400, y: 155 }] }];
  const widths = [36, 50, 28];
  const places = labelLines(lines, widths, box);
  places.forEach((place, i) => {
    const own = heightAt(lines[i], place.x);
    assert.ok(own !== null && Math.abs(own - place.y) <= 10.5, 'a label is beside its own line');
    lines.forEach((line, j) => { if (j !== i) { const other = heightAt(line, place.x); assert.ok(other === null || Math.abs(other - place.y) > 6, `label ${i} on line ${j}`); } });
    places.forEach((other, j) => { if (j > i) assert.ok(Math.abs(other.y - place.y) > 10 || Math.abs(other.x - place.x) > (widths[i] + widths[j]) / 2); });
  });
});
