/**
 * A file that is cut short while it is mapped is SIGBUS: the process is gone before any JavaScript runs. So a command line
 * that maps (`--io mmap`) runs as a child of itself: the parent has nothing to do but to hand on signals and the exit code,
 * and to say one sentence and clean up when the child dies by a signal.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { CheckpointError } from '../core/errors';
import { removeLeftovers } from '../core/pruning/staging';
import { onTemporary, removeTemporaries } from '../core/temporaries';
import { describeExit } from './restartPolicy';

/** Holds the parent's id in the child's environment; a grandchild that inherits it is not meant. */
const MARK = 'WINNOW_SUPERVISOR';

/** From the child: a folder that temporaries are made in. */
interface TemporaryMessage { readonly temporariesIn: string }

/** In a supervised child, tells the parent where temporaries are, and calls `orphaned` when the parent is gone. @returns whether this is one */
export function joinSupervisor(orphaned: () => void): boolean {
  if (process.env[MARK] !== String(process.ppid) || !process.send) return false;
  onTemporary((folder) => void process.send?.({ temporariesIn: path.resolve(folder) } satisfies TemporaryMessage));
  process.on('disconnect', orphaned);
  return true;
}

/**
 * Runs the same command line in a child with this process's streams and answers with its exit code.
 *
 * @throws CheckpointError `child-died` when it dies by a signal; what it was writing is removed
 */
export function superviseSelf(words: readonly string[], signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1], ...words], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'], windowsHide: true, env: { ...process.env, [MARK]: String(process.pid) },
    });
    const folders = new Set<string>();
    const interrupt = (): void => void child.kill('SIGINT');
    const kill = (): void => void child.kill('SIGKILL');
    const ended = (): void => {
      signal.removeEventListener('abort', interrupt);
      process.removeListener('exit', kill);
    };
    signal.addEventListener('abort', interrupt, { once: true });
    process.once('exit', kill);
    child.on('message', (message: TemporaryMessage) => folders.add(message.temporariesIn));
    child.once('error', (error) => {
      ended();
      reject(new CheckpointError('child-died', {}, `it did not start: ${error.message}`, { cause: error }));
    });
    // `close` and not `exit`: every message has been read by then.
    child.once('close', (code, death) => {
      ended();
      if (code !== null) return resolve(code);
      for (const folder of folders) cleanUp(folder);
      // A cancel that came before the child could listen ends it by the signal.
      reject(signal.aborted ? new CheckpointError('cancelled', {}, '') : new CheckpointError('child-died', {}, `it ${describeExit(code, death)}`));
    });
  });
}

function cleanUp(folder: string): void {
  try {
    removeLeftovers(folder);
    removeTemporaries(folder);
  } catch {
    // The next run tries again; the sentence about the death matters more.
  }
}
