/** The engine child's shell: binds the core to the IPC channel of its parent, and goes when the parent goes. */
import { CheckpointError } from '../core/errors';
import { runJob } from '../core/job';
import { reportCsv } from '../core/report/csv';
import { makePool } from '../core/workers/pool';
import type { VerbOutputs } from '../protocol/verbs';
import { parseArguments, commonFlags } from './arguments';
import { makeHandlers } from './editor/handlers';
import { ENGINE_VARIABLE, readSettings, type EngineSettings } from './engineSettings';
import { serveCalls, type FromEngine, type Handlers, type ToEngine } from './ipc';
import { sentenceOf } from './sentences';
import { summaryOfFolder, sweepJson } from './sweepJson';
import { verbs } from './verbs/registry';

const PARENT_CHECK_MS = 2_000;

/** Serves until the parent goes. */
export function runEngine(): void {
  const settings = readSettings(process.env[ENGINE_VARIABLE]);
  const pool = makePool({ threads: settings.threads });
  const send = (message: FromEngine): void => { if (process.connected) process.send?.(message); };
  const { handlers, close } = makeHandlers({ pool, io: settings.io, emit: (event, payload) => send({ type: 'event', event, payload }) });
  const leave = (): void => { close(); process.exit(0); };
  const receive = serveCalls({ ...handlers, ...verbHandlers(settings) }, send, sentenceOf);
  process.on('message', (message: ToEngine) => receive(message));
  process.on('disconnect', leave);
  process.on('SIGTERM', leave);
  // A parent that was killed may leave the channel half open on some systems: its pid tells.
  const parent = process.ppid;
  setInterval(() => { if (process.ppid !== parent) leave(); }, PARENT_CHECK_MS).unref();
}

/** What the command line answers too, by the same code. */
function verbHandlers(settings: EngineSettings): Handlers {
  const run = async <N extends keyof VerbOutputs>(name: N, words: string[], signal: AbortSignal): Promise<VerbOutputs[N]> => {
    const entry = verbs.find((candidate) => candidate.name === name);
    if (!entry) throw new CheckpointError('usage', {}, `there is no verb ${name}`);
    const verb = await entry.load(), args = parseArguments(words, [...verb.flags, ...commonFlags]);
    const context = { cwd: process.cwd(), threads: settings.threads, io: settings.io, force: false, verbose: false, dataFolder: settings.dataFolder, signal };
    return (await runJob(verb.run(args, context))) as VerbOutputs[N];
  };
  return {
    inspectFull: ({ path }, signal) => run('inspect', [path], signal),
    catalog: (_params, signal) => run('catalog', [], signal),
    sweepResult: ({ dir }) => sweepJson(summaryOfFolder(dir)),
    sweepTable: ({ dir }) => ({ csv: reportCsv(summaryOfFolder(dir)) }),
  };
}
