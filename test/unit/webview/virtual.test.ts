import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moveBy, pagesFor, scrollToShow, visibleRange } from '../../../webview/virtual';

const view = { scrollTop: 0, height: 220, rowHeight: 22, total: 3000 };

test('the visible rows are those that touch the viewport, within the list', () => {
  const rows: [number, number, number, number, number][] = [
    [0, 0, 3000, 0, 10], [11, 0, 3000, 0, 11], [22, 0, 3000, 1, 11], [2200, 4, 3000, 96, 114], [65_780, 4, 3000, 2986, 3000], [0, 4, 3, 0, 3], [0, 4, 0, 0, 0], [9e9, 0, 50, 50, 50], [-50, 0, 3000, 0, 10]];
  for (const [scrollTop, extra, total, from, to] of rows) assert.deepEqual(visibleRange({ ...view, scrollTop, total }, extra), { from, to }, `scrolled ${scrollTop}`);
});

test('pages cover a range and no more', () => {
  assert.deepEqual(pagesFor({ from: 0, to: 64 }, 64), [0]);
  assert.deepEqual(pagesFor({ from: 63, to: 65 }, 64), [0, 1]);
  assert.deepEqual(pagesFor({ from: 640, to: 641 }, 64), [10]);
});

test('a row on screen does not scroll; one outside moves least, or to the middle', () => {
  assert.equal(scrollToShow({ ...view, scrollTop: 100 }, 6), 100);
  assert.equal(scrollToShow({ ...view, scrollTop: 100 }, 2), 44);
  assert.equal(scrollToShow({ ...view, scrollTop: 0 }, 10), 22);
  assert.equal(scrollToShow({ ...view, scrollTop: 0 }, 100, true), 2200 - 99);
  assert.equal(scrollToShow({ ...view, scrollTop: 0 }, 2999, true), 3000 * 22 - 220);
  assert.equal(scrollToShow({ ...view, scrollTop: 5000 }, 0, true), 0);
});

test('keys move within the list', () => {
  const rows: [string, number, number | null][] = [
    ['ArrowDown', 4, 5], ['ArrowDown', 99, 99], ['ArrowDown', -1, 0], ['ArrowUp', 0, 0], ['ArrowUp', 5, 4], ['Home', 50, 0], ['End', 50, 99], ['PageDown', 95, 99], ['PageDown', -1, 9], ['PageUp', 3, 0], ['a', 3, null]];
  for (const [key, index, expected] of rows) assert.equal(moveBy(key, index, 100, 9), expected, `${key} at ${index}`);
  assert.equal(moveBy('End', -1, 0, 9), null);
});
