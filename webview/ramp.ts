/**
 * The one ordered ramp, "fraction below the threshold": low = near the editor's background, high = far from it. Pure.
 *
 * Lightness changes in one direction from end to end, so the order survives greyscale and colour blindness; a test holds it to that.
 */
import { interpolateLab, lab, piecewise, rgb } from 'd3';

export const RAMP_STEPS = 256;
export type ThemeKind = 'dark' | 'light' | 'hc-dark' | 'hc-light';

const STOPS: Record<ThemeKind, readonly string[]> = {
  dark: ['#1d4a6b', '#23748b', '#3f9f8f', '#93c98b', '#f7ecA2'],
  light: ['#c4dcf0', '#86b7de', '#4a8bc4', '#1f5d9c', '#0b2b57'],
  'hc-dark': ['#123a5c', '#1a6f93', '#3fb0a0', '#a8e08f', '#ffffff'],
  'hc-light': ['#d5e6f5', '#86b7de', '#3f7fbd', '#174f8c', '#000000'],
};

/** RAMP_STEPS colours as `rgb(r, g, b)`; the first is the background moved a little towards the first stop. */
export function makeRamp(kind: ThemeKind, background: string): string[] {
  const stops = STOPS[kind];
  const ground = lab(background);
  const start = Number.isNaN(ground.l) ? stops[0] : rgb(interpolateLab(background, stops[0])(0.5)).formatRgb();
  const between = piecewise(interpolateLab, [start, ...stops]);
  return Array.from({ length: RAMP_STEPS }, (_, i) => rgb(between(i / (RAMP_STEPS - 1))).formatRgb());
}

/** Colour of a fraction 0..1. */
export function rampColour(ramp: readonly string[], fraction: number): string {
  return ramp[Math.min(RAMP_STEPS - 1, Math.max(0, Math.round(fraction * (RAMP_STEPS - 1))))];
}

/** What body classes of a webview mean. */
export function themeKind(classes: { contains(name: string): boolean }): ThemeKind {
  if (classes.contains('vscode-high-contrast-light')) return 'hc-light';
  if (classes.contains('vscode-high-contrast')) return 'hc-dark';
  return classes.contains('vscode-light') ? 'light' : 'dark';
}
