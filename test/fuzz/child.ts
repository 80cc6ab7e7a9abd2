// One format, many runs, in a process of its own: a hang or a death is seen by run.mjs.
import { fuzzFormat } from './fuzz';

const [format, runs, seed] = process.argv.slice(2);
const answer = fuzzFormat(format, { runs: Number(runs), seed: Number(seed), onRun: (run) => { if (run % 25 === 0) process.send?.({ run }); } });
process.send?.({ done: answer });
