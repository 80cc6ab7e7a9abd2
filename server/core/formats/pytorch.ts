import { cannotOpen } from '../bytes/openSource';
import { CheckpointError, type Problem } from '../errors';
import type { FileHeader, Format, OpaqueEntry } from './contract';
import { readExactly, withFile } from './fileHead';
import { foldMasks } from './foldMasks';
import { listNames, shownName } from './names';
import { readStreamContents, readZipContents, type Contents } from './pytorch/containers';
import { PickleError } from './pytorch/pickle';
import { placeTensor } from './pytorch/placeTensor';
import { unwrapNames } from './pytorch/prefixes';
import { findState, type FoundState } from './pytorch/stateDict';

type Tensor = FileHeader['tensors'][number];

/** What torch.save writes: a zip since 1.6 (2020), a stream of pickles before. Its pickle is interpreted, never executed. */
export const pytorch: Format = {
  id: 'pytorch',
  title: 'PyTorch',
  extensions: ['.bin', '.pt', '.pth', '.ckpt', '.pth.tar'],
  indexSuffix: '.bin.index.json',
  folderNames: ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'consolidated.00.pth'],
  writable: false,

  sniff(head) {
    const text = latin1(head, 0, 64);
    // The first entry of a NumPy archive tells it from a torch one.
    if (text.startsWith('PK\x03\x04')) return !/\.npy$/.test(firstEntry(head));
    if (isTar(head)) return ['sys_info', 'pickle', 'storages', 'tensors', './sys_info', './pickle', './storages', './tensors'].includes(latin1(head, 0, 100).replace(/\0.*$/s, ''));
    return (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) || text.startsWith('L119547037146038801333356L\n');
  },

  interpret: unwrapNames,

  isSidecar: (name) => /^(training_args|optimizer|scheduler|scaler|rng_state\w*|random_states\w*|trainer_state)\.(bin|pt|pth)$/.test(name),

  readHeader(path) {
    try {
      return withFile(path, (fd, byteLength) => headerOf(contentsOf(fd, path, byteLength), path, byteLength));
    } catch (error) {
      if (error instanceof PickleError) throw new CheckpointError('pickle-broken', { file: path }, error.message, { cause: error });
      throw cannotOpen(error, path);
    }
  },
};

const latin1 = (bytes: Uint8Array, from: number, to: number): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1', from, to);
const isTar = (head: Uint8Array): boolean => latin1(head, 257, 262) === 'ustar';
const firstEntry = (head: Uint8Array): string => (head.length < 30 ? '' : latin1(head, 30, 30 + head[26] + 256 * head[27]));

function contentsOf(fd: number, path: string, byteLength: number): Contents {
  const head = Buffer.from(readExactly(fd, path, 0, Math.min(512, byteLength)));
  if (isTar(head)) {
    throw new CheckpointError('unsupported-format', { file: path }, 'the content is a tar archive, as PyTorch wrote until 2016; load it with torch.load and save it again with a newer PyTorch');
  }
  // Chosen by the name alone: say what the content is not.
  if (!pytorch.sniff(head, byteLength)) throw new CheckpointError('unknown-format', { file: path }, `it begins neither like a zip archive nor like a pickle: ${JSON.stringify(head.toString('latin1', 0, 16))}`);
  return head.toString('latin1', 0, 2) === 'PK' ? readZipContents(fd, path, byteLength) : readStreamContents(fd, path, byteLength);
}

function headerOf(contents: Contents, path: string, byteLength: number): FileHeader {
  const state = findState(contents.value);
  const tensors = new Map<string, Tensor>(), opaque: OpaqueEntry[] = [];
  for (const { name, tensor } of state.model) {
    const placed = placeTensor(name, tensor, contents.storages, path, byteLength);
    if (tensors.has(name)) throw new CheckpointError('duplicate-tensor', { file: path, tensor: shownName(name) }, 'two places in the file lead to this name');
    if ('tensor' in placed) tensors.set(name, placed.tensor);
    else opaque.push({ name, kind: placed.shown.kind, shape: [...tensor.shape], detail: placed.shown.detail, section: 'model' });
  }
  const { tensors: weights, folded } = foldMasks([...tensors.values()]);
  // The rest is shown by its shape; its bytes are not looked at.
  for (const { name, tensor, section } of state.others) {
    opaque.push({ name, kind: tensor.special?.kind ?? 'tensor', shape: [...tensor.shape], detail: tensor.special?.detail ?? (tensor.dtype ?? tensor.storage?.type.replace(/Storage$/, '') ?? '').slice(0, 60), section });
  }
  opaque.push(...state.objects);
  if (weights.length === 0 && opaque.every((entry) => entry.shape === undefined)) {
    throw new CheckpointError('no-tensors', { file: path }, contents.unknown.size > 0 ? `only ${listNames([...contents.unknown.keys()])}` : 'the pickle has none');
  }
  return { tensors: weights, metadata: null, dataFrom: contents.dataFrom, problems: remarks(path, state, opaque, folded, contents), opaque };
}

function remarks(path: string, state: FoundState, opaque: readonly OpaqueEntry[], folded: readonly string[], contents: Contents): Problem[] {
  const where = { file: path }, problems: Problem[] = [];
  const special = opaque.filter((entry) => entry.section === 'model' && entry.shape !== undefined), optimizer = state.others.filter((entry) => entry.section === 'optimizer');
  const elements = optimizer.reduce((sum, { tensor }) => sum + tensor.shape.reduce((product, size) => product * size, 1), 0);
  const parts = [
    state.path.length > 0 ? `the model is in ${state.path.join('.')}` : '',
    optimizer.length > 0 ? `${optimizer.length} tensors of the optimizer with ${elements} values` : '',
    special.length > 0 ? `${special.slice(0, 4).map((entry) => `${shownName(entry.name)} is ${entry.kind}`).join(', ')}${special.length > 4 ? ` and ${special.length - 4} more` : ''}` : '',
    contents.unknown.size > 0 ? `objects of ${listNames([...contents.unknown.keys()])}` : '',
  ].filter((part) => part !== '');
  if (parts.length > 0) problems.push({ code: 'opaque-entries', where, detail: parts.join('; ') });
  if (folded.length > 0) problems.push({ code: 'mask-folded', where, detail: listNames(folded) });
  return problems;
}
