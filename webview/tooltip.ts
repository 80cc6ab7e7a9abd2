/** One tooltip for the page: lines of name and value, beside the pointer or the focused mark, never off the window. */
import { h } from './dom';

export interface TooltipContent { title: string; pairs: [string, string][]; note?: string }

const element = h('div', { class: 'tooltip', role: 'tooltip', hidden: true });

/** @param at the mark in client coordinates; the tooltip stands below it, or above when there is no room */
export function showTooltip(content: TooltipContent, at: { left: number; right: number; top: number; bottom: number }): void {
  if (!element.isConnected) document.body.append(element);
  element.replaceChildren(h('div', { class: 'tooltip-title' }, content.title),
    h('dl', null, ...content.pairs.flatMap(([name, value]) => [h('dt', null, name), h('dd', null, value)])));
  if (content.note) element.append(h('div', { class: 'tooltip-note' }, content.note));
  element.hidden = false;
  const size = element.getBoundingClientRect();
  const left = Math.min(window.innerWidth - size.width - 8, Math.max(8, at.right + 10));
  const below = at.bottom + 10;
  const top = below + size.height > window.innerHeight - 8 ? Math.max(8, at.top - size.height - 10) : below;
  element.style.setProperty('left', `${left}px`);
  element.style.setProperty('top', `${top}px`);
}

export function hideTooltip(): void {
  element.hidden = true;
}
