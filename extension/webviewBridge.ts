/** Between one view and the rest: every call of the view ends, cancels are passed on, events are handed in. */
import * as vscode from 'vscode';
import { PROTOCOL_VERSION, type EditorMethod, type HostMethods, type HostToView, type ViewToHost } from '../server/protocol/editor';
import { CallFailure, failureOf } from '../server/rpc/ipc';
import { methods } from '../server/rpc/router';
import { sentenceOf } from '../server/rpc/sentences';
import type { Host } from './host';

const MAX_FAULTS = 100;

/** Binds a webview; what is returned ends every running call. */
export function bindWebview(host: Host, webview: vscode.Webview, view: 'inspector' | 'sweep', path: string): vscode.Disposable {
  const running = new Map<number, AbortController>();
  const post = (message: HostToView): void => { void webview.postMessage(message); };

  const call = async (id: number, method: string, params: unknown): Promise<void> => {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const result = await dispatch(method, params, controller.signal);
      if (running.delete(id)) post({ type: 'result', id, result });
    } catch (error) {
      if (running.delete(id)) post({ type: 'failure', id, failure: failureOf(error, sentenceOf) });
    }
  };
  const dispatch = (method: string, params: unknown, signal: AbortSignal): Promise<unknown> => {
    if ((methods as readonly string[]).includes(method)) return host.client.call(method as EditorMethod, params as never, signal);
    if (Object.hasOwn(host.handlers, method)) return host.handlers[method as keyof HostMethods](params as never, { path });
    return Promise.reject(new CallFailure('usage', `There is no method ${method}.`));
  };

  const subscriptions = [
    webview.onDidReceiveMessage((message: ViewToHost) => {
      switch (message.type) {
        case 'hello':
          if (message.version !== PROTOCOL_VERSION) host.log.error(`The view speaks version ${message.version}, the extension ${PROTOCOL_VERSION}: reload the window.`);
          // A page that starts again has forgotten its calls.
          for (const controller of running.values()) controller.abort();
          running.clear();
          post({ type: 'welcome', version: PROTOCOL_VERSION, view, path });
          break;
        case 'call': void call(message.id, message.method, message.params); break;
        case 'cancel': running.get(message.id)?.abort(); break;
        case 'fault':
          host.log.error(`view ${view}: ${message.message}`);
          if (host.faults.length < MAX_FAULTS) host.faults.push(message.message);
          break;
      }
    }),
    host.client.onEvent((pushed) => post({ type: 'event', ...pushed } as HostToView)),
    host.client.onState(({ state, detail }) => post({ type: 'server', state, detail })),
  ];
  return new vscode.Disposable(() => {
    for (const subscription of subscriptions) subscription.dispose();
    for (const controller of running.values()) controller.abort();
    running.clear();
  });
}
