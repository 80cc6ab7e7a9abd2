import { readColumn } from 'hyparquet/src/column.js';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { parquetMetadata, parquetSchema } from 'hyparquet/src/metadata.js';
import { getTreePath } from 'hyparquet/src/schema.js';
import { CheckpointError } from '../errors';

/** Rows of any benchmark; a number in a file must not size an array. */
const MAX_ROWS = 50_000_000;

/**
 * The texts of one column of a Parquet file, in order. The column must be flat text; Snappy and uncompressed pages are read.
 *
 * @param file for messages
 * @throws CheckpointError `wrong-content`
 */
export function parquetTexts(bytes: Uint8Array, column: string, file: string): string[] {
  const broken = (detail: string): CheckpointError => new CheckpointError('wrong-content', { file }, detail);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer, texts: string[] = [];
  try {
    const metadata = parquetMetadata(buffer), schema = parquetSchema(metadata);
    if (Number(metadata.num_rows) > MAX_ROWS) throw broken(`${metadata.num_rows} rows, at most ${MAX_ROWS}`);
    for (const { columns, num_rows: rows } of metadata.row_groups) {
      const chunk = columns.find(({ meta_data: found }) => found?.path_in_schema.join('.') === column)?.meta_data;
      if (!chunk) throw broken(`no column "${column}"; there are ${columns.map(({ meta_data: found }) => found?.path_in_schema.join('.')).join(', ')}`);
      const schemaPath = getTreePath(schema, chunk.path_in_schema), from = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset), to = from + Number(chunk.total_compressed_size);
      if (!(from >= 0 && to <= buffer.byteLength && to > from)) throw broken(`column "${column}" lies outside the file`);
      const decoder = { pathInSchema: chunk.path_in_schema, element: schemaPath[schemaPath.length - 1].element, schemaPath, parsers: DEFAULT_PARSERS, ...chunk };
      const { data } = readColumn({ view: new DataView(buffer, from, to - from), offset: 0 }, { groupStart: 0, selectStart: 0, selectEnd: Number(rows), groupRows: Number(rows) }, decoder);
      for (const page of data) for (const value of page) {
        if (typeof value !== 'string') throw broken(`row ${texts.length} of "${column}" is not text`);
        texts.push(value);
      }
    }
  } catch (error) {
    throw error instanceof CheckpointError ? error : broken(`not a Parquet file that can be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return texts;
}

/**
 * The WikiText file that the rows of its data set come from: the loader made the empty string of each line of blanks, and those lines are
 * one blank in the file.
 */
export const wikitextOfRows = (rows: readonly string[]): string => rows.map((row) => (row === '' ? ' \n' : row)).join('');
