// Benchmarks from the cache of the Hugging Face libraries and from the Hub, which is a server on loopback here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, afterEach, beforeEach, test } from 'node:test';
import { findBenchmark, locateBenchmark, readBenchmark } from '../../../server/core/evaluation/benchmarks';
import type { Benchmark } from '../../../server/core/evaluation/contract';
import { fetchBenchmark } from '../../../server/core/evaluation/fetchBenchmark';
import type { FetchOptions } from '../../../server/core/evaluation/fetchBenchmark';
import { parquetTexts, wikitextOfRows } from '../../../server/core/evaluation/parquetText';
import { hubCacheFolder, hubToken } from '../../../server/core/hub/hubSettings';
import { runJob } from '../../../server/core/job';
import { confirmAt } from '../../../server/rpc/confirm';
import { golden, root, saying, shared, sharedIsThere, skipWithout } from './material';

const sha = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const at = (name: string): Buffer => readFileSync(path.join(golden, name));
const text = at('rows.txt').toString(), parquet = at('rows_snappy.parquet');

const variables = ['HF_HOME', 'HF_HUB_CACHE', 'HF_ENDPOINT', 'HF_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_OFFLINE', 'HUGGINGFACE_HUB_CACHE', 'HUGGING_FACE_HUB_TOKEN', 'HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'] as const;
const before = Object.fromEntries(variables.map((name) => [name, process.env[name]]));
let folder = '';
const servers: Server[] = [];
const reset = (): void => { for (const name of variables) if (before[name] === undefined) delete process.env[name]; else process.env[name] = before[name]; };
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'winnow-hub-'));
  for (const name of variables) delete process.env[name];
  process.env.HF_HOME = path.join(folder, 'hf');
});
afterEach(() => {
  for (const server of servers.splice(0)) { server.closeAllConnections(); server.close(); }
  rmSync(folder, { recursive: true });
});
after(reset);

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Fault { readonly content?: Buffer; readonly oid?: string; readonly cut?: boolean; readonly missing?: boolean }

/** A Hub with one file of a data set, which it redirects to another server, as the real one does. */
async function makeHub(fault: Fault = {}): Promise<{ address: string; seen: string[] }> {
  const seen: string[] = [], content = fault.content ?? parquet;
  const store = await listen((request, response) => {
    seen.push(`store ${request.method} ${request.headers.authorization ?? 'no token'}`);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const part = range ? content.subarray(Number(range[1]), Number(range[2]) + 1) : content;
    response.writeHead(range ? 206 : 200, { etag: '"1"', 'content-length': part.length, ...(range && { 'content-range': `bytes ${range[1]}-${range[2]}/${content.length}` }) });
    if (fault.cut && !range) { response.write(part.subarray(0, part.length >> 1), () => response.destroy()); return; }
    response.end(part);
  });
  const address = await listen((request, response) => {
    seen.push(`hub ${request.method} ${request.url} ${request.headers.authorization ?? 'no token'}`);
    if (request.method === 'POST') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(fault.missing ? [] : [{ type: 'file', path: 'wikitext-2-raw-v1/test-00000-of-00001.parquet', size: content.length, oid: '0'.repeat(40), lfs: { oid: fault.oid ?? sha(content), size: content.length, pointerSize: 130 } }]));
    } else {
      response.writeHead(302, { location: `${store}/signed`, etag: '"1"', 'x-linked-etag': '"1"', 'x-linked-size': content.length });
      response.end();
    }
  });
  process.env.HF_ENDPOINT = `${address}/`;
  return { address, seen };
}

const benchmark: Benchmark = { ...findBenchmark('wikitext-2-raw'), sha256: sha(text) };
const fetchIt = (options: Partial<FetchOptions> = {}, which = benchmark, signal?: AbortSignal) =>
  runJob(fetchBenchmark(which, { dataFolder: path.join(folder, 'data'), force: false, mayAsk: true, confirm: () => Promise.resolve(true), ...options }, signal));
const target = (): string => path.join(folder, 'data/wikitext-2/wiki.test.raw');
/** Everything below the data folder. */
const left = (): string[] => existsSync(path.join(folder, 'data')) ? readdirSync(path.join(folder, 'data'), { recursive: true, encoding: 'utf8' }) : [];

test('rows of Parquet become the file that they came from, whatever the pages are', () => {
  for (const name of ['rows_snappy', 'rows_plain', 'rows_two_columns']) assert.equal(wikitextOfRows(parquetTexts(at(`${name}.parquet`), 'text', name)), text, name);
  assert.throws(() => parquetTexts(parquet, 'page', 'f'), saying('wrong-content', 'no column "page"', 'text'));
  assert.throws(() => parquetTexts(parquet.subarray(0, 900), 'text', 'f'), saying('wrong-content', 'f'));
  assert.throws(() => parquetTexts(at('rows_two_columns.parquet'), 'id', 'f'), saying('wrong-content', 'is not text'));
});

test('the published files are what their rows are put together to, by their checksums', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  for (const id of ['wikitext-2-raw', 'wikitext-2', 'wikitext-103']) {
    const file = locateBenchmark(findBenchmark(id), path.join(shared, 'data'));
    assert.ok(file !== null, id);
    // What the data-set loader yields: each line with its newline, or nothing where there are only blanks.
    const rows = readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => (line.trim() === '' ? '' : `${line}\n`));
    assert.equal(sha(wikitextOfRows(rows)), findBenchmark(id).sha256, id);
  }
});

test('a benchmark is found in the cache of the Hugging Face libraries, links and all, the current commit first', () => {
  const repository = path.join(folder, 'hf/hub/datasets--Salesforce--wikitext'), name = 'wikitext-2-raw-v1/test-00000-of-00001.parquet';
  for (const [commit, blob] of [['a'.repeat(40), 'rows_plain.parquet'], ['b'.repeat(40), 'rows_snappy.parquet']]) {
    mkdirSync(path.join(repository, 'blobs'), { recursive: true });
    mkdirSync(path.dirname(path.join(repository, 'snapshots', commit, name)), { recursive: true });
    cpSync(path.join(golden, blob), path.join(repository, 'blobs', blob));
    symlinkSync(path.join('../../../blobs', blob), path.join(repository, 'snapshots', commit, name));
  }
  mkdirSync(path.join(repository, 'refs'));
  writeFileSync(path.join(repository, 'refs/main'), 'b'.repeat(40));
  assert.equal(locateBenchmark(findBenchmark('wikitext-2-raw'), null), path.join(repository, 'snapshots', 'b'.repeat(40), name));
  const read = readBenchmark('wikitext-2-raw', path.join(folder, 'nothing'));
  assert.equal(read.text, text);
  assert.equal(read.sha256, sha(text), 'the checksum is that of the text');
  assert.ok(read.rows);
  assert.deepEqual(read.problems.map(({ code }) => code), ['benchmark-text-differs'], 'these rows are not WikiText');
  // The data folder goes first.
  mkdirSync(path.join(folder, 'data/wikitext-2'), { recursive: true });
  writeFileSync(target(), 'my own');
  assert.equal(readBenchmark('wikitext-2-raw', path.join(folder, 'data')).text, 'my own');
});

test('where nothing is, the error names the folders that were looked into', () => {
  assert.throws(() => readBenchmark('lambada', null), saying('benchmark-not-found', 'EleutherAI/lambada_openai', path.join(folder, 'hf/hub')));
});

test('the variables of the Python libraries say where the cache and the token are', () => {
  assert.equal(hubCacheFolder({ HF_HUB_CACHE: '/a', HF_HOME: '/b' }), '/a');
  assert.equal(hubCacheFolder({ HF_HOME: '/b' }), path.join('/b', 'hub'));
  assert.equal(hubCacheFolder({ XDG_CACHE_HOME: '/c' }), path.join('/c', 'huggingface/hub'));
  assert.equal(hubToken({ HF_HOME: folder }), null);
  writeFileSync(path.join(folder, 'token'), 'hf_file\n');
  assert.equal(hubToken({ HF_HOME: folder }), 'hf_file');
  assert.equal(hubToken({ HF_HOME: folder, HF_TOKEN: 'hf_given' }), 'hf_given');
});

test('a text is fetched, made from its rows, held against its checksum, and is then here', async () => {
  const { address, seen } = await makeHub();
  let asked = '';
  const first = await fetchIt({ confirm: (offer, to) => { asked = `${offer.bytes} ${offer.url} ${to}`; return Promise.resolve(true); } });
  assert.deepEqual([first.status, first.out, first.sha256, first.bytes], ['downloaded', target(), sha(text), Buffer.byteLength(text)]);
  assert.equal(readFileSync(target(), 'utf8'), text);
  assert.equal(asked, `${parquet.length} ${address}/datasets/Salesforce/wikitext/resolve/main/wikitext-2-raw-v1/test-00000-of-00001.parquet ${target()}`);
  assert.deepEqual(left().sort(), ['wikitext-2', path.join('wikitext-2', 'wiki.test.raw')], 'nothing half-written beside it');
  const requests = seen.length;
  assert.equal((await fetchIt()).status, 'present');
  assert.equal(seen.length, requests, 'what is here is not asked for');
});

test('the token goes to the Hub and not to the store it redirects to', async () => {
  const { seen } = await makeHub();
  process.env.HF_TOKEN = 'hf_secret';
  await fetchIt();
  assert.ok(seen.some((line) => line.startsWith('hub POST') && line.endsWith('Bearer hf_secret')));
  const store = seen.filter((line) => line.startsWith('store'));
  assert.ok(store.length > 0 && store.every((line) => line.endsWith('no token')), store.join('\n'));
});

test('a proxy is used where one is named, and not for hosts that are excepted', async () => {
  const { address, seen } = await makeHub(), through: string[] = [];
  const proxy = createServer((_request, response) => { response.writeHead(502); response.end(); });
  proxy.on('connect', (request, socket) => { through.push(request.url ?? ''); socket.end('HTTP/1.1 502 no\r\n\r\n'); });
  servers.push(proxy);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  process.env.HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  await assert.rejects(fetchIt(), saying('download-failed'));
  assert.deepEqual([through.length > 0, through[0] ?? new URL(address).host, seen], [true, new URL(address).host, []]);
  process.env.NO_PROXY = '127.0.0.1';
  assert.equal((await fetchIt()).status, 'downloaded');
});

test('what is not the published file is thrown away, and nothing is left', async () => {
  const other = at('rows_plain.parquet');
  const cases: [Fault, Benchmark, Parameters<typeof saying>][] = [
    [{ oid: sha('another') }, benchmark, ['checksum-differs', 'the Hub says']],
    [{ content: other }, { ...benchmark, sha256: sha('another text') }, ['checksum-differs', 'the text has']],
    [{ content: Buffer.from('not parquet at all') }, benchmark, ['wrong-content']],
    [{ cut: true }, benchmark, ['download-failed']],
    [{ missing: true }, benchmark, ['download-failed', 'is not in the data set']],
  ];
  for (const [fault, which, expected] of cases) {
    await makeHub(fault);
    await assert.rejects(fetchIt({}, which), saying(...expected), JSON.stringify(expected));
    assert.deepEqual(left(), [], JSON.stringify(expected));
  }
  process.env.HF_ENDPOINT = 'http://127.0.0.1:9';
  await assert.rejects(fetchIt(), saying('download-failed', 'Salesforce/wikitext'));
});

test('nothing is fetched without a yes, without a folder, over another file, or offline', async () => {
  const { seen } = await makeHub();
  await assert.rejects(fetchIt({ mayAsk: false }), saying('usage', '--yes'));
  await assert.rejects(fetchIt({ dataFolder: null }), saying('usage', '--data'));
  process.env.HF_HUB_OFFLINE = '1';
  await assert.rejects(fetchIt(), saying('download-failed', 'HF_HUB_OFFLINE'));
  delete process.env.HF_HUB_OFFLINE;
  assert.deepEqual(seen, []);
  await assert.rejects(fetchIt({ confirm: () => Promise.resolve(false) }), saying('cancelled'));
  assert.deepEqual(left(), []);
  mkdirSync(path.dirname(target()), { recursive: true });
  writeFileSync(target(), 'my own');
  await assert.rejects(fetchIt(), saying('target-exists', 'wiki.test.raw'));
  assert.equal(readFileSync(target(), 'utf8'), 'my own');
  assert.equal((await fetchIt({ force: true })).status, 'downloaded');
});

test('a cancel while it is fetched leaves nothing', async () => {
  await makeHub();
  const cancel = new AbortController();
  await assert.rejects(fetchIt({ confirm: () => { cancel.abort(); return Promise.resolve(true); } }, benchmark, cancel.signal), saying('cancelled'));
  assert.deepEqual(left(), []);
});

test('a question is answered by y or yes, and by nothing else', async () => {
  for (const [answer, expected] of [['y\n', true], ['YES\n', true], ['\n', false], ['no\n', false], ['', false]] as const) {
    const input = new PassThrough(), output = new PassThrough();
    const said = confirmAt(input, output, 'sure? ');
    input.end(answer);
    assert.equal(await said, expected, JSON.stringify(answer));
  }
});

const cli = path.join(root, 'dist/cli.js');
test('the command refuses without a terminal, and throws away a text that is not the published one', { skip: skipWithout(existsSync(cli), 'dist/cli.js (`npm run build`)') }, async () => {
  const { seen } = await makeHub();
  const run = (...words: string[]) => new Promise<{ code: number | null; err: string }>((resolve) => {
    const child = spawn(process.execPath, [cli, 'fetch', ...words], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let err = '';
    child.stderr.on('data', (part: Buffer) => { err += part; });
    child.on('close', (code) => resolve({ code, err }));
  });
  const asked = await run('wikitext-2-raw', '--data', 'data');
  assert.deepEqual([asked.code, seen.length], [2, 0], asked.err);
  assert.match(asked.err, /^winnow: usage: .*--yes/m);
  const wrong = await run('wikitext-2-raw', '--data', 'data', '--yes');
  assert.equal(wrong.code, 1, wrong.err);
  assert.match(wrong.err, /^winnow: checksum-differs: /m);
  assert.deepEqual(left(), []);
  assert.equal((await run('sample')).code, 0);
  assert.match((await run('wikitext-9')).err, /^winnow: unknown-benchmark: /m);
});
