// Makes the venv with the independent references (PyTorch, transformers, numpy...): used by benchmarks and by the scripts that
// make golden files, never by `npm test`.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, run } from './setup.mjs';

export const packages = ['numpy', 'torch', 'transformers>=5,<6', 'safetensors', 'tokenizers', 'gguf', 'onnx'];

/** Path of a Python with the packages: WINNOW_PYTHON, else .venv, made when missing (several GB: PyPI's torch brings CUDA). */
export function ensurePython() {
  if (process.env.WINNOW_PYTHON) return process.env.WINNOW_PYTHON;
  const python = path.join(root, process.platform === 'win32' ? '.venv/Scripts/python.exe' : '.venv/bin/python');
  if (!existsSync(python)) {
    console.log('> making .venv with PyTorch and transformers (several GB)');
    run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', '.venv']);
    run(python, ['-m', 'pip', 'install', '--quiet', ...packages]);
  }
  return python;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) console.log(ensurePython());
