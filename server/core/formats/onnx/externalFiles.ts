import { realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../../errors';
import { listNames, shownName } from '../names';
import type { OnnxTensor } from './onnxTensor';

/**
 * The data files that the tensors of an ONNX file lie in, each inside the folder of that file: neither an absolute path nor
 * `..` nor a link leads out. Nothing outside is so much as looked at.
 *
 * @returns relative names in order of first use, and the tensors with the byte ranges that they have there
 * @throws CheckpointError `data-file-outside`, `data-file-missing`, `offset-out-of-range`
 */
export function placeExternal(file: string, tensors: readonly OnnxTensor[]): { readonly files: readonly string[]; readonly places: ReadonlyMap<OnnxTensor, { readonly file: number; readonly from: number; readonly to: number }> } {
  const users = new Map<string, OnnxTensor[]>();
  for (const tensor of tensors) {
    if (tensor.external === null) continue;
    const location = inside(tensor.external.location, file, tensor.name), found = users.get(location);
    if (found) found.push(tensor);
    else users.set(location, [tensor]);
  }
  const folder = path.dirname(file), missing: string[] = [], places = new Map<OnnxTensor, { file: number; from: number; to: number }>();
  // A cache keeps files elsewhere, side by side: what is linked from the folder lies beside what the file itself links to.
  const homes = users.size === 0 ? [] : [realpathSync(folder), path.dirname(realpathSync(file))];
  for (const [number, [location, users_]] of [...users].entries()) {
    const full = path.join(folder, location);
    let real: string;
    try {
      real = realpathSync(full);
    } catch {
      missing.push(location);
      continue;
    }
    if (!homes.some((home) => isInside(real, home))) throw new CheckpointError('data-file-outside', { file, tensor: shownName(users_[0].name) }, `${shownName(location)} is a link that leaves the folder`);
    const stat = statSync(real);
    if (!stat.isFile()) throw new CheckpointError('data-file-missing', { file, tensor: shownName(users_[0].name) }, `${shownName(location)} is not a regular file`);
    for (const tensor of users_) {
      const from = tensor.external!.offset, to = from + tensor.to;
      if (to > stat.size) throw new CheckpointError('offset-out-of-range', { file: full, tensor: shownName(tensor.name) }, `${shownName(tensor.name)} needs bytes ${from} to ${to} but ${shownName(location)} has ${stat.size}`);
      places.set(tensor, { file: number + 1, from, to });
    }
  }
  if (missing.length > 0) {
    const waiting = missing.flatMap((location) => users.get(location)!.map((tensor) => tensor.name));
    throw new CheckpointError('data-file-missing', { file, tensor: shownName(waiting[0]) }, `${listNames(missing)} not there; needed by ${waiting.length === 1 ? '' : `${waiting.length} tensors: `}${listNames(waiting)}`);
  }
  return { files: [...users.keys()], places };
}

/** True when `inner` lies below `outer`, both without links. */
function isInside(inner: string, outer: string): boolean {
  const relative = path.relative(outer, inner);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

/** The location as a relative path that stays inside. */
function inside(location: string, file: string, tensor: string): string {
  const parts = location.split(/[\\/]/);
  if (location.includes('\0') || /^([\\/]|[A-Za-z]:)/.test(location) || parts.includes('..')) {
    throw new CheckpointError('data-file-outside', { file, tensor: shownName(tensor) }, `${JSON.stringify(shownName(location))} does not stay in the folder`);
  }
  return path.join(...parts.filter((part) => part !== '' && part !== '.'), '.') ;
}
