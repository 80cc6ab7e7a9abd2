/** What both views do when something fails: a banner with the one button that helps, and everything asked again when the server is back. */
import type { Banner } from './banner';
import { CallFailure } from './bridge';
import type { Bridge } from './bridge';

export interface TroublesView {
  banner: Banner;
  bridge(): Bridge;
  /** Asks for everything again. */
  reload(): void;
  /** The server is gone: what was running has ended. */
  down(): void;
  /** Said after the sentence about the server. */
  note: string;
}
export interface Troubles { report(error: unknown): void; server(state: 'stopped' | 'restarting' | 'running', detail: string): void }

export function makeTroubles(view: TroublesView): Troubles {
  let wasDown = false;
  const report = (error: unknown): void => {
    if (!(error instanceof CallFailure)) { view.bridge().fault(String(error instanceof Error ? error.stack : error)); return; }
    // A cancel was asked for; a stopped server has a banner of its own.
    if (error.code === 'cancelled' || error.code === 'server-stopped') return;
    view.banner.show(error.sentence, 'error', { label: 'Try again', act: view.reload });
  };
  return {
    report,
    server: (state, detail) => {
      if (state === 'running') {
        if (!wasDown) return;
        wasDown = false;
        view.banner.hide();
        view.reload();
        return;
      }
      wasDown = true;
      view.down();
      if (state === 'restarting') view.banner.show(`The Winnow engine stopped (${detail}) and is starting again.${view.note}`, 'info');
      else view.banner.show(`The Winnow server stopped${detail ? `: ${detail}` : ''}.${view.note}`, 'error', { label: 'Restart server', act: () => void view.bridge().call('restartServer', {}).catch(report) });
    },
  };
}
