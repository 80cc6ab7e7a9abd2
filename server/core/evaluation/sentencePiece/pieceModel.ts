import { CheckpointError } from '../../errors';
import { withFile } from '../../formats/fileHead';
import { ProtoReader, type ProtoField } from '../../formats/onnx/protoReader';

/** What a piece is, by the numbers of sentencepiece_model.proto. */
export const pieceTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece { readonly text: string; readonly score: number; readonly type: number }

/** A SentencePiece model file: its pieces by id, and how it was told to treat a text. */
export interface PieceModel {
  readonly pieces: readonly Piece[];
  readonly kind: 'unigram' | 'bpe';
  readonly byteFallback: boolean;
  readonly unknown: number;
  /** NormalizerSpec; `charsMap` is empty where characters stay as they are. */
  readonly charsMap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

/** The largest published models have 262,144 pieces (Gemma); a file of more is something else. */
const MAX_PIECES = 2 ** 21;
const MAX_PIECE_BYTES = 4096;
const MAX_CHARS_MAP_BYTES = 2 ** 24;
const kinds = new Map<number, PieceModel['kind']>([[1, 'unigram'], [2, 'bpe']]);

/**
 * Reads `*.model` of SentencePiece (sentencepiece_model.proto: pieces 1, trainer_spec 2, normalizer_spec 3).
 *
 * @throws CheckpointError `tokenizer-broken`: not such a file, or of the kinds word and char
 */
export function readPieceModel(file: string): PieceModel {
  const broken = (detail: string): CheckpointError => new CheckpointError('tokenizer-broken', { file }, detail);
  try {
    return withFile(file, (fd, byteLength) => readFields(new ProtoReader(fd, file, byteLength), broken));
  } catch (error) {
    if (error instanceof CheckpointError && (error.code === 'file-damaged' || error.code === 'file-cut-short')) throw broken(`not a SentencePiece model: ${error.detail}`);
    throw error;
  }
}

function readFields(reader: ProtoReader, broken: (detail: string) => CheckpointError): PieceModel {
  const pieces: Piece[] = [];
  const trainer = new Map<number, number>(), normalizer = new Map<number, number>();
  let charsMap = new Uint8Array(0), types: { kind: number } = { kind: 1 };
  for (const field of reader.fields(0, reader.byteLength)) {
    if (field.number === 1) {
      if (pieces.length === MAX_PIECES) throw broken(`more than ${MAX_PIECES} pieces`);
      pieces.push(readPiece(reader, field));
    } else if (field.number === 2) {
      for (const part of reader.fields(...reader.message(field))) if (part.wire === 0) trainer.set(part.number, part.value);
      types = { kind: trainer.get(3) ?? 1 };
    } else if (field.number === 3) {
      for (const part of reader.fields(...reader.message(field))) {
        if (part.number === 2) charsMap = reader.bytes(part, MAX_CHARS_MAP_BYTES);
        else if (part.wire === 0) normalizer.set(part.number, part.value);
      }
    }
  }
  const kind = kinds.get(types.kind), unknown = pieces.findIndex((piece) => piece.type === pieceTypes.unknown);
  if (pieces.length === 0 || unknown === -1) throw broken(pieces.length === 0 ? 'no pieces in it' : 'no unknown piece in it');
  if (!kind) throw broken(`a model of type ${types.kind}; 1 (unigram) and 2 (BPE) are read`);
  const flag = (number: number): boolean => (normalizer.get(number) ?? 1) !== 0;
  return { pieces, kind, unknown, byteFallback: (trainer.get(35) ?? 0) !== 0, charsMap, addDummyPrefix: flag(3), removeExtraWhitespaces: flag(4), escapeWhitespaces: flag(5) };
}

function readPiece(reader: ProtoReader, field: ProtoField): Piece {
  let text = '', score = 0, type: number = pieceTypes.normal;
  for (const part of reader.fields(...reader.message(field))) {
    if (part.number === 1) text = reader.text(part, MAX_PIECE_BYTES);
    else if (part.number === 2 && part.wire === 5) score = new DataView(reader.raw(part.from, part.to).buffer).getFloat32(0, true);
    else if (part.number === 3) type = part.value;
  }
  return { text, score, type };
}
