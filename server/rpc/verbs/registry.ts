import type { VerbOutputs } from '../../protocol/verbs';
import type { Verb } from './contract';

type Name = keyof VerbOutputs;

/** A verb that is loaded when it is asked for: `winnow --version` must not open a native library. */
export interface VerbEntry {
  readonly name: Name;
  load(): Promise<Verb>;
}

/** Forgets which verb it is: the shell hands each verb only its own output. */
const entry = <N extends Name>(name: N, load: () => Promise<Verb<N>>): VerbEntry => ({ name, load: load as unknown as () => Promise<Verb> });

/** All verbs, in the order of the help text. Adding one is one new file and one line here. */
export const verbs: readonly VerbEntry[] = [
  entry('inspect', async () => (await import('./inspect')).inspect),
  entry('stats', async () => (await import('./stats')).stats),
  entry('prune', async () => (await import('./prune')).prune),
  entry('apply', async () => (await import('./apply')).apply),
  entry('eval', async () => (await import('./eval')).evaluate),
  entry('sweep', async () => (await import('./sweep')).sweep),
  entry('compare', async () => (await import('./compare')).compare),
  entry('convert', async () => (await import('./convert')).convert),
  entry('cell', async () => (await import('./cell')).cell),
  entry('report', async () => (await import('./report')).report),
  entry('fetch', async () => (await import('./fetch')).fetchText),
  entry('reproduce', async () => (await import('./reproduce')).reproduce),
  entry('catalog', async () => (await import('./catalog')).catalog),
  entry('doctor', async () => (await import('./doctor')).doctor),
];
