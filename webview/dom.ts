/** Building DOM without markup: every text is a text node, so a tensor called `<img onerror=…>` is just a name. */

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined>;

/** An element with classes and attributes. Never pass `style` (the policy drops it); use classes or `.style.setProperty`. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes?: Attributes | null, ...children: Child[]): HTMLElementTagNameMap[K];
export function h(tag: string, attributes?: Attributes | null, ...children: Child[]): HTMLElement;
export function h(tag: string, attributes: Attributes | null = null, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts a view into the page: in place of the host's empty `#app`, else at the end of the body. */
export function mount(view: HTMLElement): void {
  view.id = 'app';
  const place = document.getElementById('app');
  if (place) place.replaceWith(view);
  else document.body.append(view);
}

/** Sets text only when it differs: writing the same text still costs a layout. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Calls `paint` at most once a frame, however often it is asked. */
export function coalesce(paint: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paint(); });
  };
}

/** Calls `act` once, `waitMs` after the last ask. */
export function debounce(act: () => void, waitMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => { clearTimeout(timer); timer = setTimeout(act, waitMs); };
}

/** Calls `act` at once, then at most every `waitMs` while it is asked. */
export function throttle(act: () => void, waitMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  const run = (): void => {
    act();
    timer = setTimeout(() => { timer = undefined; if (again) { again = false; run(); } }, waitMs);
  };
  return () => { if (timer === undefined) run(); else again = true; };
}
