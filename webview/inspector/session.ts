/**
 * What the inspector asks for and when: curves for what is on screen, and exact fractions once the threshold rests.
 *
 * Ids are asked once; while a scan runs they are asked again at each refresh, because more of them are known by then.
 */
import type { ViewCall } from '../bridge';
import { debounce } from '../dom';
import { answerCut, batches } from '../store';
import type { CutState, Fractions } from '../store';
import { MAX_IDS, type NodeId } from '../../server/protocol/editor';


export interface SessionView {
  path(): string;
  /** Ids on screen, most wanted first. */
  wanted(): NodeId[];
  cut(): CutState;
  setCut(cut: CutState): void;
  /** Fractions or curves came: repaint. */
  changed(): void;
  scanned(): boolean;
}

export interface Session {
  /** Something scrolled into view or came from the server. */
  need(): void;
  /** Forget which curves were asked: there may be more of them now. */
  refresh(): void;
  /** The threshold rests: ask for the exact answer. */
  settle(): void;
  /** The threshold moves: what is exact no longer holds. */
  unsettle(): void;
  reset(): void;
}

export function makeSession(call: ViewCall, fractions: Fractions, view: SessionView): Session {
  const asked = new Set<NodeId>();
  let exactCall: AbortController | null = null;
  let exactAsked = new Set<NodeId>();

  const curves = async (): Promise<void> => {
    if (view.path() === '') return; // not welcomed yet
    const ids = view.wanted().filter((id) => !asked.has(id) && (!view.scanned() || !fractions.curves.has(id)));
    for (const batch of batches(ids, MAX_IDS)) {
      batch.forEach((id) => asked.add(id));
      try {
        fractions.add((await call('curves', { path: view.path(), ids: batch })).curves);
      } catch {
        batch.forEach((id) => asked.delete(id)); // asked again when something moves; the banner tells of a stopped server
        return;
      }
      view.changed();
    }
  };

  const exact = async (): Promise<void> => {
    const cut = view.cut();
    if (!view.scanned() || cut.dragging) return;
    const ids = view.wanted().filter((id) => !exactAsked.has(id));
    if (ids.length === 0 && cut.exact) return;
    exactCall ??= new AbortController();
    const { signal } = exactCall;
    for (const batch of ids.length === 0 ? [[]] : batches(ids, MAX_IDS)) {
      batch.forEach((id) => exactAsked.add(id));
      const chosen = cut.drive === 'target' ? { sparsity: cut.sparsity, threshold: null } : { sparsity: null, threshold: cut.threshold };
      try {
        const answer = await call('cut', { path: view.path(), ...chosen, ids: batch }, signal);
        if (signal.aborted) return;
        fractions.addExact(answer.nodes);
        if (!view.cut().exact) view.setCut(answerCut(view.cut(), answer));
      } catch {
        batch.forEach((id) => exactAsked.delete(id));
        return;
      }
      view.changed();
    }
  };

  const unsettle = (): void => {
    exactCall?.abort();
    exactCall = null;
    exactAsked = new Set();
    fractions.exact.clear();
  };
  const needSoon = debounce(() => { void curves().then(exact); }, 30);

  return {
    need: needSoon,
    refresh: () => { asked.clear(); needSoon(); },
    settle: () => { void exact(); },
    unsettle,
    reset: () => { asked.clear(); unsettle(); },
  };
}
