/** The person's settings, read when they are needed. */
import * as vscode from 'vscode';
import type { EngineSettings } from '../server/rpc/engineSettings';

const DEFAULT_LEVELS = [0.1, 0.5, 0.9, 0.95, 0.99];

/** What the server and the engine are started with. 0 threads: one a processor. */
export function readSettings(): EngineSettings {
  const settings = vscode.workspace.getConfiguration('winnow');
  return { io: settings.get<EngineSettings['io']>('io', 'auto'), threads: settings.get<number>('threads', 0), dataFolder: settings.get<string>('dataFolder', '').trim() || null };
}

/** Levels of a sweep: fractions, ascending, each once; the default when none is sound. */
export function readLevels(): number[] {
  const given = vscode.workspace.getConfiguration('winnow').get<unknown>('sweep.levels');
  const levels = Array.isArray(given) ? given.filter((level): level is number => typeof level === 'number' && level > 0 && level <= 1) : [];
  return levels.length > 0 ? [...new Set(levels)].sort((a, b) => a - b) : DEFAULT_LEVELS;
}

/** Flags that hold for every command line that is started from here. */
export function commonFlags(): string[] {
  const { io, threads, dataFolder } = readSettings();
  return [...(io === 'auto' ? [] : ['--io', io]), ...(threads > 0 ? ['--threads', String(threads)] : []), ...(dataFolder ? ['--data', dataFolder] : [])];
}

/** Windows of text a cell of a sweep uses; 0 for the whole text. */
export const readLimit = (): number => Math.max(0, Math.trunc(vscode.workspace.getConfiguration('winnow').get<number>('sweep.limit', 0)) || 0);
