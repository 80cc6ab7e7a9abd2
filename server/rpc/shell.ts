import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { version } from '../../package.json';
import { CheckpointError } from '../core/errors';
import { runJob } from '../core/job';
import { commonFlags, parseArguments, suggestion } from './arguments';
import { encodeJson } from './encode';
import { exitCodeOf, type ExitCode } from './exitCode';
import { asCheckpointError } from './failure';
import { helpForAll, helpForVerb } from './help';
import { ProgressBar } from './progressBar';
import type { ProgressStream } from './progressBar';
import { ProgressFile } from './progressFile';
import { sentenceOf } from './sentences';
import type { IoMode } from '../core/bytes/byteSource';
import type { Arguments, VerbContext } from './verbs/contract';
import { verbs } from './verbs/registry';
import type { VerbEntry } from './verbs/registry';

/** What the shell touches of the process; a test hands in its own. */
export interface ShellStreams {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string, done: (error?: Error | null) => void): unknown };
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /** Runs the same words in a process that may die of a mapped file; not there in that process itself. */
  readonly supervise?: (words: readonly string[]) => Promise<number>;
  /** Asks at the terminal; missing where there is none. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** The list of verbs; a test hands in its own. */
  readonly verbs?: readonly VerbEntry[];
}

/** Resolves once the text has left the process, so that an exit cannot cut it; a reader that went away is no fault. */
const print = (stream: ShellStreams['stdout'], text: string): Promise<void> =>
  new Promise((resolve, reject) => void stream.write(text, (error) => error && (error as NodeJS.ErrnoException).code !== 'EPIPE' ? reject(error) : resolve()));

function contextOf(args: Arguments, streams: ShellStreams): VerbContext {
  const io = args.text('io') ?? 'auto';
  if (io !== 'auto' && io !== 'mmap' && io !== 'pread') throw new CheckpointError('usage', {}, `--io takes auto, mmap or pread, not \`${io}\``);
  const data = args.text('data') ?? (streams.environment.WINNOW_DATA || undefined);
  return {
    cwd: streams.cwd,
    // More threads than processors only wait for each other: ONNX Runtime's spin, and 1024 of them never finish.
    threads: Math.min(args.integer('threads', 1, 1024) ?? Infinity, availableParallelism()),
    // Reading is as fast, and a file cut short meanwhile is a sentence and not a signal: only a wish maps, in a child.
    io: (io === 'auto' ? 'pread' : io) satisfies IoMode,
    force: args.has('force'),
    verbose: args.has('verbose'),
    dataFolder: data === undefined ? null : path.resolve(streams.cwd, data),
    signal: streams.signal,
    ...(streams.confirm && { confirm: streams.confirm }),
  };
}

/** The path of what a verb wrote, for the progress file's last line. */
const outOf = (output: unknown, cwd: string): string | null =>
  typeof output === 'object' && output !== null && 'out' in output && typeof output.out === 'string' && !('dryRun' in output && output.dryRun === true) ? path.resolve(cwd, output.out) : null;

async function runVerb(entry: VerbEntry, words: readonly string[], streams: ShellStreams): Promise<ExitCode> {
  const verb = await entry.load();
  if (words.includes('--help') || words.includes('-h')) {
    await print(streams.stdout, helpForVerb(verb));
    return 0;
  }
  const args = parseArguments(words, [...verb.flags, ...commonFlags]);
  const [least, most] = verb.positional;
  if (args.positional.length < least || args.positional.length > most) {
    const detail = args.positional.length < least ? 'a word is missing' : `\`${args.positional[most]}\` is one word too many`;
    throw new CheckpointError('usage', {}, `${detail}; usage: winnow ${verb.name} ${verb.usage}`);
  }
  const context = contextOf(args, streams);
  const progressPath = args.text('progress-file');
  const file = new ProgressFile(progressPath === undefined ? null : path.resolve(streams.cwd, progressPath));
  const bar = new ProgressBar(streams.stderr);
  try {
    if (context.io === 'mmap' && streams.supervise) return await streams.supervise([verb.name, ...words]);
    const output = await runJob(verb.run(args, context), (progress) => {
      bar.report(progress);
      file.report(progress);
    });
    bar.end();
    file.end({ state: 'done', out: outOf(output, streams.cwd), message: null });
    await print(streams.stdout, args.has('json') ? `${encodeJson(output)}\n` : verb.text(output, context).replace(/\n*$/, '\n'));
    return 0;
  } catch (thrown) {
    bar.end();
    const error = asCheckpointError(thrown);
    if (error.code === 'cancelled') file.end({ state: 'cancelled', out: null, message: null });
    else file.end({ state: 'failed', out: null, message: `${error.code}: ${sentenceOf(error)}` });
    throw error;
  }
}

/**
 * Runs one command line to its end and answers with the exit status. Prints at most one message of failure, and a stack
 * only with --verbose.
 */
export async function runShell(words: readonly string[], streams: ShellStreams): Promise<ExitCode> {
  const entries = streams.verbs ?? verbs;
  // Every worker, stream and session of a job listens to the one signal: many listeners are no leak here.
  setMaxListeners(0, streams.signal);
  try {
    const [name, ...rest] = words;
    if (name === '--version') {
      await print(streams.stdout, `${version}\n`);
      return 0;
    }
    if (name === '--help' || name === '-h' || name === 'help') {
      const one = entries.find((entry) => entry.name === rest[0]);
      await print(streams.stdout, one ? helpForVerb(await one.load()) : await helpForAll(entries, version));
      return 0;
    }
    if (name === undefined) throw new CheckpointError('usage', {}, 'a verb is missing');
    if (rest.includes('--version')) {
      await print(streams.stdout, `${version}\n`);
      return 0;
    }
    const entry = entries.find((one) => one.name === name);
    if (!entry) throw new CheckpointError('usage', {}, name.startsWith('-') ? `the verb comes first, not \`${name}\`` : `there is no verb \`${name}\`${suggestion(name, entries.map((one) => one.name))}`);
    return await runVerb(entry, rest, streams);
  } catch (thrown) {
    const error = asCheckpointError(thrown);
    streams.stderr.write(`winnow: ${error.code}: ${sentenceOf(error)}\n`);
    if (words.includes('--verbose')) streams.stderr.write(`${(error.cause instanceof Error ? error.cause : error).stack ?? ''}\n`);
    return exitCodeOf(error, words);
  }
}
