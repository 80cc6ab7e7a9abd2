// `node test/bench/methods.mjs`: every method and scope at 50 % on two small trained models, with paired intervals. Minutes on two cores.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ensureBuild, ensureDependencies, root } from '../../scripts/setup.mjs';
import { ensurePython } from '../../scripts/python.mjs';

ensureDependencies();
if (!process.argv.includes('--built')) ensureBuild();
const python = existsSync(path.join(root, '../shared/models/stories260k-llama')) && !existsSync(path.join(root, 'build/methods/stories.txt')) ? ensurePython() : '';
const result = spawnSync(process.execPath, ['--import', 'tsx', path.join(root, 'test/bench/methods.ts')], { cwd: root, stdio: 'inherit', env: { ...process.env, WINNOW_PYTHON: python, NODE_NO_WARNINGS: '1' } });
process.exit(result.status ?? 1);
