import { readFileSync } from 'node:fs';

/** The version of onnxruntime-node that is installed, or null when there is none. Loads no native code. */
export function runtimeVersion(): string | null {
  try {
    const { version } = JSON.parse(readFileSync(require.resolve('onnxruntime-node/package.json'), 'utf8')) as { version?: unknown };
    return typeof version === 'string' ? version : null;
  } catch {
    return null;
  }
}
