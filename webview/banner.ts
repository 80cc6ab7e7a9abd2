/** A line that says what went wrong and has the one button that helps. */
import { button } from './controls';
import { h } from './dom';

export interface Banner { element: HTMLElement; show(text: string, kind: 'error' | 'info', action?: { label: string; act: () => void }): void; hide(): void }

export function makeBanner(): Banner {
  const element = h('div', { class: 'banner', role: 'alert', hidden: true });
  return {
    element,
    show: (text, kind, action) => {
      element.className = `banner banner-${kind}`;
      element.replaceChildren(h('span', { class: 'banner-text' }, text));
      if (action) element.append(button(action.label, kind === 'error' ? 'primary' : 'secondary', action.act));
      element.hidden = false;
    },
    hide: () => { element.hidden = true; },
  };
}
