/** A native range input, styled from theme variables: the keyboard, the screen reader and touch come with it. */
import { h } from './dom';

const STEPS = 1000;

export interface Slider {
  element: HTMLInputElement;
  /** Shows a position 0..1 and says it as `text`, without reporting a change. */
  set(unit: number, text: string): void;
  enable(on: boolean): void;
}

/** @param move called while it moves; @param release once when let go. Both get 0..1. */
export function makeSlider(label: string, move: (unit: number) => void, release: (unit: number) => void): Slider {
  const element = h('input', { type: 'range', class: 'slider', min: 0, max: STEPS, step: 1, 'aria-label': label, disabled: true });
  const unit = (): number => Number(element.value) / STEPS;
  const fill = (): void => element.style.setProperty('--fill', `${(unit() * 100).toFixed(1)}%`);
  element.addEventListener('input', () => { fill(); move(unit()); });
  element.addEventListener('change', () => release(unit()));
  return {
    element,
    set: (at, text) => {
      const value = String(Math.round(at * STEPS));
      if (element.value !== value) { element.value = value; fill(); }
      if (element.getAttribute('aria-valuetext') !== text) element.setAttribute('aria-valuetext', text);
    },
    enable: (on) => { element.disabled = !on; },
  };
}
