import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lab } from 'd3';
import { makeRamp, rampColour, RAMP_STEPS, themeKind } from '../../../webview/ramp';
import type { ThemeKind } from '../../../webview/ramp';

const backgrounds: [ThemeKind, string][] = [['dark', '#1f1f1f'], ['dark', '#002b36'], ['light', '#ffffff'], ['light', '#fdf6e3'], ['hc-dark', '#000000'], ['hc-light', '#ffffff']];

test('lightness runs one way from end to end, in every theme, far enough to be read', () => {
  for (const [kind, background] of backgrounds) {
    const lightness = makeRamp(kind, background).map((colour) => lab(colour).l);
    const sign = Math.sign(lightness[RAMP_STEPS - 1] - lightness[0]);
    for (let i = 1; i < lightness.length; i += 1) assert.ok((lightness[i] - lightness[i - 1]) * sign > -0.35, `${kind} step ${i}`);
    assert.ok(Math.abs(lightness[RAMP_STEPS - 1] - lightness[0]) > 55, kind);
    // The high end stands out from the page, the low end lies near it but is not it.
    assert.ok(Math.abs(lightness[RAMP_STEPS - 1] - lab(background).l) > 60, `${kind} high end`);
    assert.notEqual(Math.round(lightness[0]), Math.round(lab(background).l), `${kind} low end`);
  }
});

test('a background that is no colour still gives a ramp', () => {
  for (const colour of makeRamp('dark', '')) assert.match(colour, /^rgb\(\d+, \d+, \d+\)$/);
});

test('fractions outside 0..1 take the ends', () => {
  const ramp = makeRamp('dark', '#1f1f1f');
  assert.equal(rampColour(ramp, -1), ramp[0]);
  assert.equal(rampColour(ramp, 2), ramp[RAMP_STEPS - 1]);
});

test('the kind of theme is read from the classes of the body', () => {
  const of = (...names: string[]): ThemeKind => themeKind({ contains: (name) => names.includes(name) });
  assert.equal(of('vscode-dark'), 'dark');
  assert.equal(of('vscode-light'), 'light');
  assert.equal(of('vscode-high-contrast'), 'hc-dark');
  assert.equal(of('vscode-high-contrast', 'vscode-high-contrast-light'), 'hc-light');
});
