/** The result of a sweep: one panel a folder, found again after a reload. */
import path from 'node:path';
import * as vscode from 'vscode';
import type { Host } from './host';
import { bindWebview } from './webviewBridge';
import { webviewHtml, webviewOptions } from './webviewHtml';

const TYPE = 'winnow.sweep';
/** Titles and folders of open panels: what a reload leaves of a view that never said its state. */
const REMEMBERED = 'winnow.sweepPanels';

/** The open sweep panels, one a folder. */
export class SweepPanels implements vscode.WebviewPanelSerializer {
  private readonly panels = new Map<string, vscode.WebviewPanel>();

  constructor(private readonly host: () => Host) {}

  register(): vscode.Disposable { return vscode.window.registerWebviewPanelSerializer(TYPE, this); }

  open(dir: string): void {
    const known = this.panels.get(dir);
    if (known) { known.reveal(); return; }
    const { context } = this.host();
    this.fill(vscode.window.createWebviewPanel(TYPE, `Sweep: ${path.basename(dir)}`, vscode.ViewColumn.Active, { ...webviewOptions(context.extensionUri), retainContextWhenHidden: true }), dir);
  }

  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const said = (state as { path?: unknown } | null | undefined)?.path;
    const dir = typeof said === 'string' ? said : this.remembered()[panel.title];
    if (dir) this.fill(panel, dir);
    else panel.dispose();
    return Promise.resolve();
  }

  private fill(panel: vscode.WebviewPanel, dir: string): void {
    const host = this.host(), { context } = host;
    this.panels.set(dir, panel);
    panel.title = this.titleOf(dir);
    panel.iconPath = vscode.Uri.joinPath(context.extensionUri, 'media', 'sweep.svg');
    panel.webview.options = webviewOptions(context.extensionUri);
    const bridge = bindWebview(host, panel.webview, 'sweep', dir);
    this.remember({ ...this.remembered(), [panel.title]: dir });
    panel.onDidDispose(() => {
      bridge.dispose();
      this.panels.delete(dir);
      const { [panel.title]: _gone, ...rest } = this.remembered();
      this.remember(rest);
    });
    panel.webview.html = webviewHtml(panel.webview, context.extensionUri, 'sweep', panel.title);
  }

  /** Two sweeps of one name are told apart: the title is how a reload finds the folder again. */
  private titleOf(dir: string): string {
    const taken = this.remembered(), base = `Sweep: ${path.basename(dir)}`;
    for (let i = 1; ; i++) { const title = i === 1 ? base : `${base} (${i})`; if (taken[title] === undefined || taken[title] === dir) return title; }
  }

  private remembered(): Record<string, string> { return this.host().context.workspaceState.get<Record<string, string>>(REMEMBERED, {}); }
  private remember(panels: Record<string, string>): void { void this.host().context.workspaceState.update(REMEMBERED, panels); }
}
