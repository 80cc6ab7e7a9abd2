import type { Problem } from '../errors';
import { CheckpointError } from '../errors';
import { findBenchmark, readBenchmark } from './benchmarks';
import { TEXT_PREFIX } from './contract';
import type { EvaluationRequest, Protocol, TextParts } from './contract';
import { DEFAULT_FIELD, isJsonLines, readDocuments, readQuestions } from './jsonLines';
import { joinRows, readTextFile } from './text';

/** A text as a protocol takes it. */
export interface Source {
  /** The text in one piece; documents are joined with a blank line between. */
  readonly text: string;
  readonly parts: TextParts;
  readonly file: string;
  readonly sha256: string;
  readonly problems: readonly Problem[];
}

/** The protocol that a benchmark is made for, null where any will do. @throws CheckpointError `unknown-benchmark` */
export const protocolOfBenchmark = (benchmark: string): string | null => benchmark.startsWith(TEXT_PREFIX) ? null : findBenchmark(benchmark).protocol ?? null;

const wants: Readonly<Record<'documents' | 'questions', string>> = {
  documents: 'documents, one a line: give a JSON Lines file (--text FILE.jsonl), or the benchmark lambada',
  questions: 'questions with their choices, one a line: give a JSON Lines file (--text FILE.jsonl)',
};

/**
 * Whether a text and a protocol go together, as far as their names say.
 *
 * @throws CheckpointError `metric-makes-no-sense`, `usage`, `unknown-benchmark`
 */
export function checkSource(request: Pick<EvaluationRequest, 'benchmark' | 'field'>, protocol: Protocol): void {
  const { benchmark, field } = request, own = protocolOfBenchmark(benchmark);
  if (own !== null && own !== protocol.id) throw new CheckpointError('metric-makes-no-sense', { key: protocol.id }, `${benchmark} is scored by ${own}`);
  if (isJsonLines(benchmark.startsWith(TEXT_PREFIX) ? benchmark : findBenchmark(benchmark).files[0])) return;
  if (protocol.reads === 'documents' || protocol.reads === 'questions') throw new CheckpointError('metric-makes-no-sense', { key: protocol.id }, `${protocol.id} scores ${wants[protocol.reads]}`);
  if (field !== undefined) throw new CheckpointError('usage', {}, '--field names a field of a JSON Lines file (*.jsonl), and this is running text');
}

/**
 * Reads the text of a request and cuts it into the parts that the protocol scores.
 *
 * @throws CheckpointError as `readBenchmark` and `readTextFile` do; `json-lines-broken`; `metric-makes-no-sense` where text and
 *   protocol do not go together
 */
export function readSource(request: Pick<EvaluationRequest, 'benchmark' | 'dataFolder' | 'field'>, protocol: Protocol): Source {
  const { benchmark } = request, named = !benchmark.startsWith(TEXT_PREFIX);
  checkSource(request, protocol);
  const read = named ? readBenchmark(benchmark, request.dataFolder) : { ...readTextFile(benchmark.slice(TEXT_PREFIX.length)), file: benchmark.slice(TEXT_PREFIX.length), rows: false };
  const { file, sha256, problems } = read;
  if (!isJsonLines(file)) return { text: read.rows && protocol.joinsRows ? joinRows(read.text) : read.text, parts: {}, file, sha256, problems };
  if (protocol.reads === 'questions') return { text: '', parts: { questions: readQuestions(read.text, file) }, file, sha256, problems };
  const documents = readDocuments(read.text, file, request.field ?? DEFAULT_FIELD);
  return { text: documents.join('\n\n'), parts: { documents }, file, sha256, problems };
}
