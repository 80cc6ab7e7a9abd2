import { runJob } from '../job';
import { writeCell } from './cellJson';
import type { Executor } from './contract';
import { runCell } from './runCell';
import { Workshop } from './workshop';
import type { WorkshopTools } from './workshop';

/** Runs cells in this process, one after another, and shares between them what is the same. */
export function makeLocalExecutor(tools: WorkshopTools, winnow: string): Executor {
  const workshop = new Workshop(tools);
  return {
    id: 'local',
    async run(cell, resultPath, report, signal) {
      writeCell(resultPath, await runJob(runCell(cell, workshop, winnow, signal), report));
    },
    close: () => workshop.close(),
  };
}
