/** What the checkpoints of a folder are, and where results go: names beside them, as the command line chooses. Knows no vscode. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { weightSuffixes } from '../server/language/weightNames';

/** A file name without its ending. */
function withoutSuffix(name: string): string {
  const suffix = [...weightSuffixes].sort((a, b) => b.length - a.length).find((one) => name.toLowerCase().endsWith(one));
  return suffix === undefined || suffix.length === name.length ? name : name.slice(0, -suffix.length);
}

/** 0.5 -> `50`, 0.995 -> `99.5`. */
export const percentName = (fraction: number): string => String(Number((fraction * 100).toPrecision(12)));

/** The model folder where there is one (a config.json), else the file without its ending: what a result is named after. */
export function stemOf(checkpoint: string): string {
  let folder = false;
  try { folder = statSync(checkpoint).isDirectory(); } catch { /* named after what it would be */ }
  if (folder) return path.resolve(checkpoint);
  const parent = path.dirname(path.resolve(checkpoint));
  if (existsSync(path.join(parent, 'config.json')) && path.dirname(parent) !== parent) return parent;
  return path.join(parent, withoutSuffix(path.basename(checkpoint)));
}

/** True below `models--…/snapshots` of a Hugging Face cache. */
export const isInHubCache = (file: string): boolean => path.resolve(file).split(path.sep).some((part, i, parts) => part === 'snapshots' && /^models--/.test(parts[i - 1] ?? ''));

/**
 * `<name>-<suffix>` beside the checkpoint; a model in the Hugging Face cache, which is not ours to write in, gets it in `fallback`.
 */
export function besideName(checkpoint: string, suffix: string, fallback: string): string {
  const stem = stemOf(checkpoint);
  if (!isInHubCache(stem)) return `${stem}-${suffix}`;
  const repository = stem.split(path.sep).find((part) => part.startsWith('models--')) ?? path.basename(stem);
  return path.join(fallback, `${repository.split('--').slice(2).join('--') || repository}-${suffix}`);
}

/** `target`, or `target-2`, `target-3`... whichever is not there yet. */
export function freeName(target: string): string {
  if (!existsSync(target)) return target;
  for (let i = 2; ; i++) if (!existsSync(`${target}-${i}`)) return `${target}-${i}`;
}

/** One entry a model: a folder with a config or with several weight files, else the file itself. */
export function modelsOf(files: readonly string[]): string[] {
  const byFolder = new Map<string, string[]>();
  for (const file of files) byFolder.set(path.dirname(file), [...(byFolder.get(path.dirname(file)) ?? []), file]);
  return [...byFolder].flatMap(([folder, inside]) => (existsSync(path.join(folder, 'config.json')) || inside.some((file) => file.endsWith('.index.json')) ? [folder] : inside)).sort();
}
