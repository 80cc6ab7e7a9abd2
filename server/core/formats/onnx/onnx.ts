import { cannotOpen } from '../../bytes/openSource';
import type { Problem } from '../../errors';
import type { TensorUse } from '../../tensor/tensorInfo';
import type { Format } from '../contract';
import { withFile } from '../fileHead';
import { shownName } from '../names';
import { dequantiser } from './dequantise';
import { placeExternal } from './externalFiles';
import { readOnnx } from './onnxModel';
import { ProtoReader } from './protoReader';

/** Fields of ModelProto and their wire types. */
const modelFields: Readonly<Record<number, number>> = { 1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2 };

/** No node that says anything takes it. */
const UNUSED: TensorUse = { op: '', orientation: null, prunable: false, scope: null, head: false };

/** A ModelProto: a protocol buffer of a graph with its weights, in it or in files beside it. github.com/onnx/onnx, onnx.proto */
export const onnx: Format = {
  id: 'onnx',
  title: 'ONNX',
  extensions: ['.onnx'],
  indexSuffix: null,
  folderNames: ['model.onnx'],
  writable: true,
  inPlace: true,

  sniff(head) {
    // The IR version, by every writer the first, then fields that a model has.
    if (head.length < 4 || head[0] !== 0x08 || head[1] === 0 || head[1] >= 64) return false;
    for (let at = 2, fields = 0; at < head.length; fields++) {
      const tag = head[at++];
      const number = tag >> 3, wire = tag & 7;
      if (tag > 127) return fields > 0;
      if (modelFields[number] !== wire) return false;
      let value = 0, scale = 1;
      do {
        if (at >= head.length) return true;
        value += (head[at] & 127) * scale;
        scale *= 128;
      } while (head[at++] > 127 && scale < 2 ** 63);
      if (number === 7) return true;
      if (wire === 2) at += value;
    }
    return true;
  },

  readHeader(file) {
    try {
      return withFile(file, (fd, byteLength) => {
        const { tensors, opaque, uses, dequantising, metadata } = readOnnx(new ProtoReader(fd, file, byteLength), file);
        const shownAs = dequantiser(file, tensors);
        const { files, places } = placeExternal(file, tensors);
        const problems: Problem[] = opaque.length === 0 ? [] : [{ code: 'opaque-entries', where: { file, tensor: shownName(opaque[0].name) }, detail: `${opaque.length}, e.g. ${shownName(opaque[0].name)}: ${opaque[0].detail}` }];
        return {
          tensors: tensors.map((found) => {
            const { external: _, origin, encoding, ...tensor } = found, use = uses.get(found.name);
            return { ...tensor, ...places.get(found), ...(encoding.length > 0 && { encoding }), use: use ?? UNUSED, ...(origin === 'constant' && { section: 'constant' as const }), ...shownAs(found, dequantising.get(found.name)) };
          }),
          metadata, dataFrom: 0, problems, opaque, files,
        };
      });
    } catch (error) {
      throw cannotOpen(error, file);
    }
  },
};
