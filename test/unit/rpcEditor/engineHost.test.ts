import test from 'node:test';
import assert from 'node:assert/strict';
import { EngineHost, type EngineChild } from '../../../server/rpc/engineHost';
import { CallFailure, serveCalls, type FromEngine, type ToEngine } from '../../../server/rpc/ipc';
import { makeRouter, methods } from '../../../server/rpc/router';
import { describeExit, RestartPolicy } from '../../../server/rpc/restartPolicy';
import type { EditorEvents } from '../../../server/protocol/editor';

class FakeChild implements EngineChild {
  readonly sent: ToEngine[] = [];
  killed = false;
  private message: (message: FromEngine) => void = () => {};
  private exit: (code: number | null, signal: string | null) => void = () => {};
  constructor(readonly pid: number) {}
  send(message: ToEngine): void { this.sent.push(message); }
  onMessage(listener: (message: FromEngine) => void): void { this.message = listener; }
  onExit(listener: (code: number | null, signal: string | null) => void): void { this.exit = listener; }
  kill(): void { this.killed = true; }
  answer(id: number, result: unknown): void { this.message({ type: 'result', id, result }); }
  say(message: FromEngine): void { this.message(message); }
  die(signal: string): void { this.exit(null, signal); }
}

function makeHost() {
  const children: FakeChild[] = [], states: EditorEvents['engineState'][] = [], timers: { run: () => void; delayMs: number }[] = [];
  let nowMs = 0;
  const host = new EngineHost({
    start: () => { const child = new FakeChild(children.length + 1); children.push(child); return child; },
    onState: (state) => states.push(state), onEvent: () => {}, now: () => nowMs, later: (run, delayMs) => { timers.push({ run, delayMs }); },
  });
  return { host, children, states, timers, pass: (ms: number) => { nowMs += ms; }, last: () => children[children.length - 1], fire: () => timers.splice(0).forEach((timer) => timer.run()) };
}
const code = (expected: string) => (error: unknown) => error instanceof CallFailure && error.code === expected;

test('the engine starts with the first call and answers it', async () => {
  const { host, children } = makeHost();
  assert.equal(children.length, 0);
  const answer = host.call('inspect', { path: '/m' });
  children[0].answer(1, { name: 'm' });
  assert.deepEqual(await answer, { name: 'm' });
});

test('pending calls end with server-stopped when the engine dies, and the next engine serves the same call', async () => {
  const { host, children, states, fire } = makeHost();
  const answer = host.call('inspect', { path: '/m' });
  children[0].die('SIGKILL');
  await assert.rejects(answer, code('server-stopped'));
  const again = host.call('inspect', { path: '/m' });
  fire();
  children[1].answer(2, { name: 'm' });
  assert.deepEqual(await again, { name: 'm' });
  assert.deepEqual(states.map((state) => state.state), ['restarting', 'running']);
  assert.match(states[0].detail, /SIGKILL/);
});

test('restarts come at once, then after 1, 4 and 15 s, then the engine stays stopped until a person restarts it', async () => {
  const { host, states, timers, last, fire, children } = makeHost();
  const delays: number[] = [];
  void host.call('catalog', {}).catch(() => {});
  for (let i = 0; i < 4; i++) { last().die('SIGSEGV'); delays.push(timers[0].delayMs); fire(); }
  assert.deepEqual(delays, [0, 1000, 4000, 15000]);
  last().die('SIGSEGV');
  assert.equal(timers.length, 0);
  assert.equal(states[states.length - 1].state, 'stopped');
  assert.match(states[states.length - 1].detail, /SIGSEGV.*Restart/);
  await assert.rejects(host.call('inspect', { path: '/m' }), code('server-stopped'));
  const count = children.length;
  host.restart();
  assert.equal(children.length, count + 1);
  assert.equal(states[states.length - 1].state, 'running');
  const answer = host.call('inspect', { path: '/m' });
  const sent = last().sent[0];
  assert.ok(sent.type === 'call');
  last().answer(sent.id, 1);
  assert.equal(await answer, 1);
});

test('an engine that lived a minute starts the list of delays again', () => {
  const { host, timers, last, fire, pass } = makeHost();
  void host.call('catalog', {}).catch(() => {});
  for (let i = 0; i < 10; i++) { last().die('SIGKILL'); assert.equal(timers[0].delayMs, 0); fire(); pass(60_000); }
});

test('a call that ends the engine three times in a row is refused; others still run; a success clears the count', async () => {
  const { host, last, fire, pass } = makeHost();
  const die = async (path: string) => { const call = host.call('scan', { path }); last().die('SIGBUS'); await assert.rejects(call, code('server-stopped')); fire(); pass(60_000); };
  await die('/bad'); await die('/bad');
  const fine = host.call('scan', { path: '/bad' });
  const sent = last().sent[0];
  last().answer(sent.id, 1);
  await fine;
  await die('/bad'); await die('/bad'); await die('/bad');
  await assert.rejects(host.call('scan', { path: '/bad' }), code('child-died'));
  assert.equal(last().sent.length, 0);
  const other = host.call('scan', { path: '/good' });
  last().answer(last().sent[0].id, 2);
  assert.equal(await other, 2);
});

test('a cancel ends the call at once and is passed on', async () => {
  const { host, last } = makeHost();
  const controller = new AbortController();
  const call = host.call('scan', { path: '/m' }, controller.signal);
  controller.abort();
  await assert.rejects(call, code('cancelled'));
  assert.deepEqual(last().sent.map((message) => message.type), ['call', 'cancel']);
});

test('a call cancelled while a restart waits is never sent', async () => {
  const { host, last, fire } = makeHost();
  void host.call('catalog', {}).catch(() => {});
  last().die('SIGKILL');
  const controller = new AbortController();
  const call = host.call('scan', { path: '/m' }, controller.signal);
  controller.abort();
  await assert.rejects(call, code('cancelled'));
  fire();
  assert.equal(last().sent.length, 0);
});

test('closing ends every call and kills the child without a restart', async () => {
  const { host, last, timers, children } = makeHost();
  const call = host.call('catalog', {});
  host.close();
  await assert.rejects(call, code('server-stopped'));
  last().die('SIGTERM');
  assert.ok(children[0].killed);
  assert.equal(timers.length, 0);
  await assert.rejects(host.call('catalog', {}), code('server-stopped'));
});

test('each served call ends exactly once, also when its handler throws, hangs or does not exist', async () => {
  const sent: FromEngine[] = [];
  const receive = serveCalls({
    inspect: () => { throw new Error('oops'); },
    scan: (_params, signal) => new Promise((resolve) => signal.addEventListener('abort', () => setTimeout(() => resolve({ seconds: 1, bytes: 1, cached: false }), 1))),
    jobs: () => ({ jobs: [] }),
  }, (message) => sent.push(message), () => 'sentence');
  receive({ type: 'call', id: 1, method: 'inspect', params: {} });
  receive({ type: 'call', id: 2, method: 'scan', params: {} });
  receive({ type: 'call', id: 3, method: 'jobs', params: {} });
  receive({ type: 'call', id: 4, method: 'rows', params: {} });
  receive({ type: 'cancel', id: 2 });
  receive({ type: 'cancel', id: 99 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const ends = Object.fromEntries(sent.map((message) => ['id' in message ? message.id : 0, message.type === 'failure' ? message.failure.code : message.type]));
  assert.deepEqual(ends, { 1: 'internal', 2: 'cancelled', 3: 'result', 4: 'usage' });
  assert.equal(sent.length, 4);
});

test('jobs are served by the server, weights by the engine, and nothing else is a method', async () => {
  const asked: string[] = [];
  const call = makeRouter((method) => { asked.push(method); return Promise.resolve({} as never); }, { jobs: () => ({ jobs: [] }) });
  assert.deepEqual(await call('jobs', {}), { jobs: [] });
  await call('inspect', { path: '/m' });
  assert.deepEqual(asked, ['inspect']);
  await assert.rejects(call('toString' as 'jobs', {}), code('usage'));
  assert.ok(methods.includes('scan') && methods.includes('startJob'));
});

test('a restart policy without delays stays stopped, and exits are described by their signal', () => {
  assert.equal(new RestartPolicy([]).next(0), null);
  assert.match(describeExit(null, 'SIGKILL'), /SIGKILL.*memory/);
  assert.match(describeExit(3, null), /code 3/);
});
