import { commonFlags } from './arguments';
import type { Flag, Verb } from './verbs/contract';
import type { VerbEntry } from './verbs/registry';

const WIDTH = 100;

/** Two columns: the names padded to the widest, the explanation wrapped beside them. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(34, Math.max(...rows.map(([name]) => name.length)) + 2);
  return rows.map(([name, text]) => {
    const lines: string[] = [''];
    for (const word of text.split(' ')) {
      const last = lines.length - 1;
      if (lines[last].length + word.length + 1 > WIDTH - left - 2) lines.push(word);
      else lines[last] = lines[last] === '' ? word : `${lines[last]} ${word}`;
    }
    const head = name.length + 2 > left ? `  ${name}\n${' '.repeat(left + 2)}` : `  ${name.padEnd(left)}`;
    return head + lines.join(`\n${' '.repeat(left + 2)}`);
  }).join('\n');
}

const flagRow = (flag: Flag): readonly [string, string] => [`--${flag.name}${flag.value === null ? '' : ` ${flag.value}${flag.many ? '…' : ''}`}`, flag.help];
const shown = commonFlags.filter((flag) => !flag.hidden);

/** What `winnow --help` prints. */
export async function helpForAll(entries: readonly VerbEntry[], version: string): Promise<string> {
  const rows = await Promise.all(entries.map(async (entry) => [entry.name, (await entry.load()).summary] as const));
  return `winnow ${version}: shows, prunes and measures LLM checkpoints

usage: winnow VERB ...

${columns(rows)}

CHECKPOINT is a file, a model folder, an index, or one shard of a set.
\`winnow VERB --help\` tells all about one. Everywhere:

${columns(shown.map(flagRow))}

exit: 0 done, 1 failed (winnow: CODE: what happened), 2 wrong usage, 130 cancelled
`;
}

/** What `winnow VERB --help` prints. */
export function helpForVerb(verb: Verb): string {
  const own = verb.flags.length === 0 ? '' : `${columns(verb.flags.map(flagRow))}\n\n`;
  return `${verb.summary}\n\nusage: winnow ${verb.name} ${verb.usage}\n\n${own}Everywhere:\n\n${columns(shown.map(flagRow))}\n`;
}
