/**
 * The command line. It finds the verb, runs its job, shows progress on stderr and prints the answer: text, or with --json one
 * document. The same process is what the editor starts, detached, for each prune, convert and sweep.
 */
import { confirmAt } from './rpc/confirm';
import { runShell } from './rpc/shell';
import { joinSupervisor, superviseSelf } from './rpc/supervise';

// Whoever reads us may stop reading (`winnow inspect X | head -1`): that is an end, not a fault.
const deaf = (error: NodeJS.ErrnoException): void => {
  if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') process.exit(process.exitCode ?? 0);
  // Anything else (a full disk) reaches whoever writes, who has a sentence for it.
};
process.stdout.on('error', deaf);
process.stderr.on('error', () => {});

const cancel = new AbortController();
/** The first signal asks the job to stop and clean up; one that comes after this long does not wait for it. */
const PATIENCE_MS = 2000;
let askedMs: number | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (askedMs !== null && performance.now() - askedMs > PATIENCE_MS) process.exit(130);
    askedMs ??= performance.now();
    cancel.abort();
  });
}

const supervised = joinSupervisor(() => cancel.abort());

void runShell(process.argv.slice(2), {
  cwd: process.cwd(), environment: process.env, stdout: process.stdout, stderr: process.stderr, signal: cancel.signal,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { confirm: (question: string) => confirmAt(process.stdin, process.stderr, question, cancel.signal) } : {}),
  ...(supervised ? {} : { supervise: (words) => superviseSelf(words, cancel.signal) }),
}).then((code) => process.exit(code));
