import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readWholeText } from '../bytes/readWhole';
import { hubCacheFolder } from './hubSettings';

/** A file of a data set on the Hub. */
export interface HubFile {
  /** `owner/name` */
  readonly repository: string;
  /** Below the data set, with `/` between folders; the first is what is downloaded, others are taken where they lie in a cache. */
  readonly paths: readonly string[];
}

/** The current commit of a cached repository first, then all others it has. */
function snapshots(folder: string): string[] {
  const all = path.join(folder, 'snapshots');
  if (!existsSync(all)) return [];
  const names = readdirSync(all).sort(), main = path.join(folder, 'refs/main');
  const current = existsSync(main) ? readWholeText(main, 1024).trim() : '';
  return [...names.filter((name) => name === current), ...names.filter((name) => name !== current)].map((name) => path.join(all, name));
}

/** The file in the cache of the Python libraries, or null: `datasets--OWNER--NAME/snapshots/COMMIT/PATH`. */
export function findInHubCache({ repository, paths }: HubFile, cache = hubCacheFolder()): string | null {
  // Data sets were once without an owner.
  const folders = [repository, repository.slice(repository.indexOf('/') + 1)].map((name) => path.join(cache, `datasets--${name.replace('/', '--')}`));
  return folders.flatMap(snapshots).flatMap((snapshot) => paths.map((file) => path.join(snapshot, file))).find((file) => existsSync(file)) ?? null;
}
