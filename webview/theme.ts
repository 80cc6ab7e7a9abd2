/** Colours as the theme has them now; told when the theme changes. */
import { makeRamp, themeKind } from './ramp';
import type { ThemeKind } from './ramp';

export interface Theme { kind: ThemeKind; ramp: string[] }

export function readTheme(): Theme {
  const kind = themeKind(document.body.classList);
  const background = getComputedStyle(document.documentElement).getPropertyValue('--vscode-editor-background').trim();
  const theme = { kind, ramp: makeRamp(kind, background) };
  // The legend's gradient is CSS; it gets its stops from the same ramp.
  for (let i = 0; i <= 10; i += 1) document.documentElement.style.setProperty(`--ramp-${i}`, theme.ramp[Math.round(i * 25.5)]);
  return theme;
}

/** VS Code changes the body's class and the root's variables when the theme changes. */
export function onThemeChange(act: () => void): void {
  const observer = new MutationObserver(act);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
}

/** Series get a colour and a dash, so that neither is needed to tell them apart. */
export const SERIES_DASHES = ['', '6 3', '2 2', '8 3 2 3', '12 4', '4 2 1 2'] as const;
export const seriesClass = (i: number): string => `series-${i % 6}`;
export const seriesDash = (i: number): string => SERIES_DASHES[(i + Math.floor(i / 6)) % SERIES_DASHES.length];
