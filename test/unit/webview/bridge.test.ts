import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROTOCOL_VERSION } from '../../../server/protocol/editor';
import type { HostToView, ViewToHost } from '../../../server/protocol/editor';
import { CallFailure, makeBridge } from '../../../webview/bridge';
import type { Bridge } from '../../../webview/bridge';

function setUp(): { bridge: Bridge; sent: ViewToHost[]; heard: string[] } {
  const sent: ViewToHost[] = [];
  const heard: string[] = [];
  const bridge = makeBridge((message) => sent.push(message), {
    welcome: (message) => heard.push(`welcome ${message.path}`),
    server: (state, detail) => heard.push(`${state} ${detail}`),
    events: { scanProgress: (event) => heard.push(`scan ${event.done}`) },
  });
  return { bridge, sent, heard };
}
const failure = (promise: Promise<unknown>): Promise<CallFailure> => promise.then(() => { throw new Error('it did not fail'); }, (error: unknown) => { assert.ok(error instanceof CallFailure); return error; });

test('a call ends with its own result, whatever the order of answers', async () => {
  const { bridge, sent } = setUp();
  const first = bridge.call('inspect', { path: '/a' });
  const second = bridge.call('jobs', {});
  assert.deepEqual(sent, [{ type: 'call', id: 1, method: 'inspect', params: { path: '/a' } }, { type: 'call', id: 2, method: 'jobs', params: {} }]);
  bridge.receive({ type: 'result', id: 2, result: { jobs: [] } });
  bridge.receive({ type: 'result', id: 1, result: { name: 'a' } });
  assert.deepEqual(await second, { jobs: [] });
  assert.deepEqual(await first, { name: 'a' });
  assert.equal(bridge.pending(), 0);
});

test('a failure carries its code and its sentence', async () => {
  const { bridge } = setUp();
  const call = failure(bridge.call('inspect', { path: '/a' }));
  bridge.receive({ type: 'failure', id: 1, failure: { code: 'file-missing', sentence: 'There is no such file.' } });
  const error = await call;
  assert.equal(error.code, 'file-missing');
  assert.equal(error.sentence, 'There is no such file.');
});

test('an abort tells the host and ends the call at once; a late answer does nothing', async () => {
  const { bridge, sent } = setUp();
  const controller = new AbortController();
  const call = failure(bridge.call('scan', { path: '/a' }, controller.signal));
  controller.abort();
  assert.equal((await call).code, 'cancelled');
  assert.deepEqual(sent.at(-1), { type: 'cancel', id: 1 });
  bridge.receive({ type: 'result', id: 1, result: {} });
  assert.equal(bridge.pending(), 0);
  assert.equal((await failure(bridge.call('scan', { path: '/a' }, controller.signal))).code, 'cancelled');
  assert.equal(sent.length, 2, 'a call that is aborted before it starts is not sent');
});

test('when the server goes every pending call ends, and later calls work again', async () => {
  const { bridge, heard } = setUp();
  const calls = [failure(bridge.call('jobs', {})), failure(bridge.call('scan', { path: '/a' }))];
  bridge.receive({ type: 'server', state: 'stopped', detail: 'SIGKILL' });
  assert.deepEqual((await Promise.all(calls)).map((error) => error.code), ['server-stopped', 'server-stopped']);
  bridge.receive({ type: 'server', state: 'running', detail: '' });
  assert.deepEqual(heard, ['stopped SIGKILL', 'running ']);
  const again = bridge.call('jobs', {});
  bridge.receive({ type: 'result', id: 3, result: { jobs: [] } });
  assert.deepEqual(await again, { jobs: [] });
});

test('events go to who listens, and an event nobody listens to is no error', () => {
  const { bridge, heard } = setUp();
  bridge.receive({ type: 'welcome', version: 1, view: 'inspector', path: '/a' });
  bridge.receive({ type: 'event', event: 'scanProgress', payload: { path: '/a', done: 5, total: 9, bytesPerSecond: 1 } });
  bridge.receive({ type: 'event', event: 'checkpointChanged', payload: { path: '/a' } });
  bridge.receive({ type: 'result', id: 99, result: null } satisfies HostToView);
  assert.deepEqual(heard, ['welcome /a', 'scan 5']);
});

test('the first word is the version, and a fault is cut to a length a log can take', () => {
  const { bridge, sent } = setUp();
  bridge.hello();
  bridge.fault('x'.repeat(10_000));
  assert.deepEqual(sent[0], { type: 'hello', version: PROTOCOL_VERSION });
  assert.equal(sent[1].type === 'fault' && sent[1].message.length, 2000);
});
