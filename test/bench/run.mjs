// `npm run bench [-- --only scan,prune,scopes,wanda,inspect,torch,perplexity] [--keep] [--quick]`: DESIGN's table of numbers, measured side by side in
// one run and printed as ratios. Needs about 40 GB of disk. The PyTorch peers run in a venv that this script makes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ensureBuild, ensureDependencies, root } from '../../scripts/setup.mjs';
import { ensurePython } from '../../scripts/python.mjs';

ensureDependencies();
ensureBuild();
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1].split(',') : null;
const needsPython = !only || only.some((name) => ['torch', 'wanda', 'perplexity'].includes(name));
const python = needsPython ? ensurePython() : '';
if (!existsSync(path.join(root, '../shared/big'))) console.log('SKIPPED: ../shared/big is not there; the inventories of the big models are needed for inspect, scan and prune');
const result = spawnSync(process.execPath, ['--import', 'tsx', path.join(root, 'test/bench/bench.ts'), ...process.argv.slice(2)], { cwd: root, stdio: 'inherit', env: { ...process.env, WINNOW_PYTHON: python, NODE_NO_WARNINGS: '1' } });
process.exit(result.status ?? 1);
