/**
 * Every control of both views, from one place: the toolkit's and ours.
 *
 * From @vscode/webview-ui-toolkit: buttons, text fields, dropdowns, checkboxes, tabs, links, tags and progress. It has no slider,
 * tree or heatmap; those are in this folder.
 */
import {
  provideVSCodeDesignSystem, vsCodeBadge, vsCodeButton, vsCodeCheckbox, vsCodeDropdown, vsCodeLink, vsCodeOption, vsCodePanels, vsCodePanelTab,
  vsCodePanelView, vsCodeProgressRing, vsCodeTextField,
} from '@vscode/webview-ui-toolkit';
import { h } from './dom';

export { makeSlider } from './slider';
export type { Slider } from './slider';
export { makeTree } from './tree';
export type { Tree } from './tree';
export { makeHeatmap } from './charts/heatmap';
export type { Heatmap } from './charts/heatmap';

/** Registers the toolkit's elements. Once a page, before any of them is made. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(
    vsCodeBadge(), vsCodeButton(), vsCodeCheckbox(), vsCodeDropdown(), vsCodeLink(), vsCodeOption(), vsCodePanels(), vsCodePanelTab(),
    vsCodePanelView(), vsCodeProgressRing(), vsCodeTextField());
}

/** A toolkit element that holds a value. */
export interface ValueElement extends HTMLElement { value: string; disabled: boolean }
export interface CheckElement extends HTMLElement { checked: boolean }
export interface ButtonElement extends HTMLElement { disabled: boolean }

export function button(label: string, appearance: 'primary' | 'secondary' | 'icon', act: () => void, title?: string): ButtonElement {
  const element = h('vscode-button', { appearance, title, 'aria-label': title }, label) as ButtonElement;
  element.addEventListener('click', act);
  return element;
}

/** A one-line text field that reports on Enter or when left. */
export function numberField(label: string, act: (text: string) => void): ValueElement {
  const element = h('vscode-text-field', { class: 'number', 'aria-label': label, size: 8 }) as ValueElement;
  element.addEventListener('change', () => act(element.value));
  element.addEventListener('keydown', (event) => { if (event.key === 'Enter') act(element.value); });
  return element;
}

export function searchField(label: string, act: (text: string) => void): ValueElement {
  const element = h('vscode-text-field', { class: 'search', placeholder: label, 'aria-label': label, size: 12 }) as ValueElement;
  element.addEventListener('input', () => act(element.value));
  return element;
}

export function dropdown(label: string, options: readonly { value: string; label: string }[], act: (value: string) => void): ValueElement {
  const element = h('vscode-dropdown', { 'aria-label': label, title: label, class: 'short' },
    ...options.map((option) => h('vscode-option', { value: option.value }, option.label))) as ValueElement;
  element.addEventListener('change', () => act(element.value));
  return element;
}

export function checkbox(label: string, checked: boolean, act: (checked: boolean) => void): CheckElement {
  const element = h('vscode-checkbox', { checked }, label) as CheckElement;
  element.addEventListener('change', () => act(element.checked));
  return element;
}

export const progressRing = (): HTMLElement => h('vscode-progress-ring', { class: 'ring', 'aria-label': 'Working' });

/** A thin bar, 0..1, or indeterminate when null. */
export function makeProgress(label: string): { element: HTMLElement; set(fraction: number | null): void } {
  const fill = h('div', { class: 'progress-fill' });
  const element = h('div', { class: 'progress', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, fill);
  return {
    element,
    set: (fraction) => {
      element.classList.toggle('endless', fraction === null);
      if (fraction === null) { element.removeAttribute('aria-valuenow'); fill.style.removeProperty('width'); return; }
      element.setAttribute('aria-valuenow', String(Math.round(fraction * 100)));
      fill.style.setProperty('width', `${(fraction * 100).toFixed(2)}%`);
    },
  };
}
