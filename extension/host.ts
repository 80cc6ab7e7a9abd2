/** What the rooms of the extension share; made once, in `activate`. */
import type * as vscode from 'vscode';
import type { HostMethods } from '../server/protocol/editor';
import type { WinnowClient } from './client';
import type { JobsView } from './jobsView';

/** Methods that only the extension host can serve; each is one function of the commands. */
export type HostHandlers = { readonly [M in keyof HostMethods]: (params: HostMethods[M]['params'], from: { readonly path: string }) => Promise<HostMethods[M]['result']> };

export interface Host {
  readonly context: vscode.ExtensionContext;
  readonly client: WinnowClient;
  readonly log: vscode.LogOutputChannel;
  readonly jobs: JobsView;
  readonly handlers: HostHandlers;
  /** Faults that views reported (a throw, a policy violation): tests look at it. */
  readonly faults: string[];
}
