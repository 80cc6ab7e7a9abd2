import { createInterface } from 'node:readline/promises';
import { CheckpointError } from '../core/errors';

/** Asks a question that only `y` or `yes` answers with yes. @throws CheckpointError `cancelled` */
export async function confirmAt(input: NodeJS.ReadableStream, output: NodeJS.WritableStream, question: string, signal?: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input, output });
  try {
    // An end of the input is no answer.
    const closed = new Promise<string>((resolve) => { lines.once('close', () => resolve('')); });
    const answer = await Promise.race([signal ? lines.question(question, { signal }) : lines.question(question), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (signal?.aborted) throw new CheckpointError('cancelled', {}, '');
    throw error;
  } finally {
    lines.close();
  }
}
