import { createRequire } from 'node:module';
import path from 'node:path';

/** A native function, called by value. */
export type Native = (...values: readonly unknown[]) => unknown;
/** The little of koffi that is used: functions of the process itself (null) or of a library, by their C declaration. */
export interface Koffi { load(name: string | null): { func(definition: string): Native } }

/** koffi, required when it is first needed: who maps nothing loads no native code. @throws when the package or its binary is missing */
export const loadKoffi = (): Koffi => createRequire(path.join(__dirname, 'koffi.js'))('koffi') as Koffi;
