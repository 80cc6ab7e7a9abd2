/** A dry run for the editor: `winnow prune ... --dry-run --json` in a child that ends with the call. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { PruneJson } from '../protocol/verbs';
import { CallFailure } from './ipc';
import { describeExit } from './restartPolicy';

export interface PreviewParams { readonly checkpoint: string; /** The words after `winnow`, `prune` first. */ readonly args: readonly string[] }

/** What 3,000 tensors take is some 600 KB. */
const MAX_OUTPUT = 64 * 2 ** 20;
/** From the polite signal to the kill. */
const GRACE_MS = 2_000;

/**
 * Counts exactly what a pruning would change; nothing is written.
 *
 * @param started told of the child's id; what it returns is called when the child has ended
 * @throws CallFailure with the command line's own code and sentence; `cancelled`
 */
export function previewPrune(cli: string, { checkpoint, args }: PreviewParams, signal: AbortSignal, started: (pid: number) => () => void = () => () => {}): Promise<PruneJson> {
  if (args[0] !== 'prune' || !path.isAbsolute(checkpoint) || !args.every((arg) => typeof arg === 'string' && !arg.includes('\0'))) return Promise.reject(new CallFailure('usage', 'These arguments are no pruning.'));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args, '--dry-run', '--json'], { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true, env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' } });
    const ended = child.pid === undefined ? () => {} : started(child.pid);
    let out = '', complaint = '', killer: NodeJS.Timeout | null = null;
    const stop = (): void => { child.kill('SIGINT'); killer ??= setTimeout(() => child.kill('SIGKILL'), GRACE_MS); };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; if (out.length > MAX_OUTPUT) child.kill('SIGKILL'); });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { complaint = `${complaint}${text}`.slice(-4096); });
    child.on('error', (error) => reject(new CallFailure('internal', error.message)));
    child.on('close', (code, how) => {
      signal.removeEventListener('abort', stop);
      if (killer) clearTimeout(killer);
      ended();
      const said = /^winnow: ([a-z0-9-]+): (.*)$/m.exec(complaint);
      if (signal.aborted) reject(new CallFailure('cancelled', 'Cancelled.'));
      else if (code !== 0) reject(said ? new CallFailure(said[1], said[2]) : new CallFailure('child-died', `The preview ${describeExit(code, how)}.`));
      else resolve(JSON.parse(out) as PruneJson);
    });
  });
}
