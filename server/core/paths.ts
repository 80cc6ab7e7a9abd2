import { existsSync } from 'node:fs';
import path from 'node:path';

/** The build folder: this file's own folder in the product, the project's `dist/` when tests run the sources. */
export function distFolder(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, 'kernels.wasm'))) return folder;
    const dist = path.join(folder, 'dist');
    if (existsSync(path.join(dist, 'kernels.wasm'))) return dist;
    if (path.dirname(folder) === folder) throw new Error('the build is missing: run `npm run build`');
  }
}
