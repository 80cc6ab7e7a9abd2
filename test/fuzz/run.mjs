// The long fuzz: `node test/fuzz/run.mjs FORMAT RUNS [SEED]`, or `all` for every format. Each format runs in a child that is
// killed when it hangs; what it found is printed with the seed that finds it again.
import { fork } from 'node:child_process';
import path from 'node:path';

const [wanted = 'all', runs = '100000', seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
const formats = wanted === 'all' ? ['safetensors', 'pytorch', 'gguf', 'onnx', 'numpy'] : [wanted];
/** 25 runs of 2 seconds at most, and the start. */
const SILENCE_MS = 60_000;

async function fuzz(format) {
  const started = Date.now();
  // A bound on the heap turns endless growth into a death that is seen.
  const child = fork(path.join(import.meta.dirname, 'child.ts'), [format, runs, seed], { execArgv: ['--import', 'tsx', '--max-old-space-size=256'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let run = 0, answer = null, timer;
  const listen = () => { clearTimeout(timer); timer = setTimeout(() => { console.error(`${format}: silent for ${SILENCE_MS / 1000} s after run ${run}`); child.kill('SIGKILL'); }, SILENCE_MS); };
  listen();
  child.on('message', (message) => { listen(); if (message.done) answer = message.done; else run = message.run; });
  const [code, signal] = await new Promise((resolve) => { child.once('exit', (...how) => resolve(how)); });
  clearTimeout(timer);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  if (answer) console.log(`${format}: ${runs} runs in ${seconds} s, ${answer.opened} opened, ${answer.refused} refused; seed ${seed}`);
  else console.error(`${format}: FAILED after run ${run} (${signal ?? `exit ${code}`}); again with: node test/fuzz/run.mjs ${format} ${runs} ${seed}`);
  return answer !== null;
}

let fine = true;
for (const format of formats) fine = (await fuzz(format)) && fine;
process.exit(fine ? 0 : 1);
