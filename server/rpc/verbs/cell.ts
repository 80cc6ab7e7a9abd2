import { existsSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../../core/bytes/makeFolder';
import { version } from '../../../package.json';
import { readWholeText } from '../../core/bytes/readWhole';
import { CheckpointError } from '../../core/errors';
import { lossesPath, parseSpecification, writeCell } from '../../core/sweep/cellJson';
import { runCell } from '../../core/sweep/runCell';
import { Workshop } from '../../core/sweep/workshop';
import { removeTemporaries } from '../../core/temporaries';
import { makePool } from '../../core/workers/pool';
import { sweepCellJson } from '../sweepJson';
import { cellLabel, perplexity } from '../sweepWords';
import { printable } from '../progressBar';
import type { Verb } from './contract';

/** A specification is a page; anything larger is something else. */
const MAX_SPECIFICATION_BYTES = 1 << 20;

/** `winnow cell`: one cell of a sweep, alone, on whatever machine this is. */
export const cell: Verb<'cell'> = {
  name: 'cell',
  usage: 'SPEC.json --out RESULT.json',
  summary: 'Run exactly one cell of a sweep from its specification, on any machine that sees the checkpoint.',
  flags: [{ name: 'out', value: 'RESULT.json', help: 'the result; its losses are put beside it as Float32' }],
  positional: [1, 1],

  async *run(args, context) {
    const given = args.text('out');
    if (given === undefined) throw new CheckpointError('usage', {}, '--out RESULT.json is missing');
    const file = path.resolve(context.cwd, args.positional[0]), out = path.resolve(context.cwd, given);
    if (existsSync(out) && !context.force) throw new CheckpointError('target-exists', { file: out }, '');
    const specification = parseSpecification(readWholeText(file, MAX_SPECIFICATION_BYTES), file);
    makeFolder(path.dirname(out));
    removeTemporaries(path.dirname(out));
    const pool = makePool({ threads: context.threads });
    const workshop = new Workshop({ pool, io: context.io, scratch: path.dirname(out) });
    try {
      const finished = yield* runCell(specification, workshop, version, context.signal);
      writeCell(out, finished);
      return { ...sweepCellJson({ result: finished.result, ratio: null, verdict: null }), out, losses: finished.losses ? lossesPath(out) : null };
    } finally {
      await workshop.close();
      await pool.close();
    }
  },
  text: (output) => `${cellLabel(output)}: ${perplexity(output)}\n${printable(output.out)}`,
};
