import * as vscode from 'vscode';
import type { CatalogJson } from '../../server/protocol/verbs';
import type { Host } from '../host';

/** What a person chose of the catalog's methods, as flags of `prune` or `sweep`. */
export interface PickedMethod {
  readonly flags: readonly string[];
  /** The sparsity that the pattern implies, null where it is free. */
  readonly sparsity: number | null;
}

type Method = CatalogJson['methods'][number];
interface Way extends vscode.QuickPickItem { readonly pick: PickedMethod | null; readonly method: Method | null }

/** Patterns of N:M that hardware has; others are for recipes and the command line. */
const GROUPS = ['2:4', '4:8'] as const;
const keptOf = (pattern: string): number => 1 - Number(pattern.split(':')[0]) / Number(pattern.split(':')[1]);
const scopeWords: Readonly<Record<string, string>> = { global: 'all weights compete', tensor: 'each tensor on its own', row: 'each output row on its own' };

/** Every way in which the methods of the catalog can choose weights: no method is known here by its name. */
function waysOf(methods: readonly Method[]): Way[] {
  return methods.flatMap((method): Way[] => {
    const scopes = [method.defaultScope, ...method.scopes.filter((scope) => scope !== method.defaultScope)];
    const flags = (more: readonly string[]): readonly string[] => ['--method', method.id, ...more];
    return [
      { label: method.title, kind: vscode.QuickPickItemKind.Separator, pick: null, method: null },
      ...scopes.map((scope, i): Way => ({
        label: method.title, description: `${scope}: ${scopeWords[scope] ?? scope}`, ...(i === 0 && { detail: `${method.summary}${method.needsCalibration ? ' Reads a calibration text.' : ''}` }),
        method, pick: { flags: flags(['--scope', scope]), sparsity: null },
      })),
      ...(method.patterns.includes('n:m') ? GROUPS.map((pattern): Way => ({ label: `${method.title} ${pattern}`, description: `keeps ${pattern.replace(':', ' of every ')} inputs`, method, pick: { flags: flags(['--pattern', pattern]), sparsity: keptOf(pattern) } })) : []),
    ];
  });
}

/** Asks which weights go, and for a calibration text where the method needs one. Null when the person leaves. */
export async function pickMethod(host: Host, title: string): Promise<PickedMethod | null> {
  const { methods } = await host.client.call('catalog', {});
  const picked = await vscode.window.showQuickPick(waysOf(methods), { title, placeHolder: 'Which weights go', matchOnDescription: true, matchOnDetail: true });
  if (!picked?.pick) return null;
  const calibration = picked.method?.needsCalibration ? await askCalibration(title) : [];
  return calibration === null ? null : { ...picked.pick, flags: [...picked.pick.flags, ...calibration] };
}

/** Asks for one or more methods of a sweep, each in its own default scope. */
export async function pickMethods(host: Host, title: string): Promise<readonly string[] | null> {
  const { methods } = await host.client.call('catalog', {});
  const items = methods.map((method, i) => ({ label: method.title, description: `${method.id}, ${method.defaultScope}`, detail: `${method.summary}${method.needsCalibration ? ' Reads a calibration text.' : ''}`, picked: i === 0, method }));
  const picked = await vscode.window.showQuickPick(items, { title, placeHolder: 'Methods to compare, each in its own scope', canPickMany: true });
  if (!picked || picked.length === 0) return null;
  const calibration = picked.some(({ method }) => method.needsCalibration) ? await askCalibration(title) : [];
  return calibration === null ? null : ['--methods', picked.map(({ method }) => method.id).join(','), ...calibration];
}

/** A text that is not the one to be evaluated: the split of a benchmark, or a file. */
async function askCalibration(title: string): Promise<string[] | null> {
  const picked = await vscode.window.showQuickPick([
    { label: '$(book) Default text', description: 'the benchmark\'s training split', detail: 'Where that is not on this machine its validation split, else the chapters of the sample that are never evaluated', words: [] },
    { label: '$(book) Training split', description: 'train', detail: 'Of the benchmark; the data set has to be on this machine', words: ['--calibration', 'train'] },
    { label: '$(book) Validation split', description: 'valid', detail: 'Of the benchmark; the data set has to be on this machine', words: ['--calibration', 'valid'] },
    { label: '$(file-text) Text file…', description: 'any UTF-8 text that is not evaluated later', words: null },
  ], { title, placeHolder: 'Calibration: the text whose activations say which weights matter' });
  if (!picked) return null;
  if (picked.words) return picked.words;
  const file = await vscode.window.showOpenDialog({ title, canSelectFiles: true, canSelectMany: false, openLabel: 'Calibrate on this text', filters: { Text: ['txt', 'md', 'raw', 'tokens', 'jsonl'], 'All files': ['*'] } });
  return file?.[0] ? ['--calibration', file[0].fsPath] : null;
}
