/** The sweep: curves as cells finish, a table with verdicts, and what the numbers say. */
import { makeBanner } from '../banner';
import { connect } from '../bridge';
import { makePerplexity } from '../charts/perplexity';
import { makeRuntime } from '../charts/runtime';
import { makeSizes } from '../charts/sizes';
import { button, checkbox, dropdown, makeProgress, progressRing, registerControls } from '../controls';
import { h, mount, setText, throttle } from '../dom';
import { formatClock, grouped, plural } from '../format';
import { onThemeChange, readTheme } from '../theme';
import { makeTroubles } from '../troubles';
import { cellsTable } from './cells';
import { sentencesOf, topicsOf } from './model';
import type { Topic } from './model';
import type { JobJson } from '../../server/protocol/editor';
import type { SweepJson } from '../../server/protocol/verbs';

registerControls();
readTheme();

let dir = '';
let sweep: SweepJson | null = null;
let topics: Topic[] = [];
let chosen = 0;
let job: JobJson | null = null;

const { bridge, api } = connect({
  welcome: (message) => { dir = message.path; chosen = readChosen(api.getState()); keep(); void load(); },
  server: (state, detail) => troubles.server(state, detail),
  events: {
    jobChanged: (event) => { if (isOurs(event.job)) { const ended = job?.state === 'running' && event.job.state !== 'running'; job = event.job; showJob(); if (ended) void load(); else refresh(); } },
    engineState: ({ state, detail }) => troubles.server(state, detail),
  },
});
const call = bridge.call;
const readChosen = (state: unknown): number => (typeof state === 'object' && state !== null && 'chosen' in state && typeof state.chosen === 'number' ? state.chosen : 0);
/** The host finds the folder again by `path` when the window is reloaded. */
const keep = (): void => api.setState({ path: dir, chosen });
const trimmedPath = (path: string): string => path.replace(/[\\/]+$/, '');
const isOurs = (other: JobJson): boolean => other.kind === 'sweep' && (trimmedPath(other.out ?? '') === trimmedPath(dir) || other.args.some((arg) => trimmedPath(arg) === trimmedPath(dir)));

// ---- parts ----
const banner = makeBanner();
const troubles = makeTroubles({ banner, bridge: () => bridge, reload: () => void load(), down: () => undefined, note: ' The sweep goes on: it is a process of its own.' });
const { report } = troubles;
const title = h('h1', null, 'Sweep');
const setup = h('div', { class: 'setup' });
const progress = makeProgress('Sweep');
const progressText = h('span', { class: 'progress-text' });
const cancel = button('Cancel', 'secondary', () => { if (job) void call('cancelJob', { id: job.id }).catch(report); }, 'Stop after the window that is running; finished cells are kept');
const ring = progressRing();
const jobBox = h('div', { class: 'job-box', hidden: true }, ring, progressText, cancel);
const perplexity = makePerplexity();
const sizes = makeSizes();
const runtime = makeRuntime();
const metricTitle = h('h2', null, 'Perplexity against weights pruned');
const logBox = checkbox('log axis', false, (on) => perplexity.setLog(on ? 'on' : 'off'));
const topicBox = h('div', { class: 'topic-box' });
const cells = h('div', { class: 'cells-box' });
const says = h('div', { class: 'says', 'aria-live': 'polite' });
const command = h('code', { class: 'command' });
const waiting = h('p', { class: 'waiting', hidden: true }, 'No cell has finished yet. The first is the dense model.');

const body = h('div', { class: 'sweep-columns empty' },
  h('div', { class: 'main-column' },
    h('section', { class: 'curve-section' }, h('div', { class: 'section-head' }, metricTitle, h('div', { class: 'section-tools' }, topicBox, logBox)), perplexity.element),
    h('section', null, h('h2', null, 'Cells'), cells)),
  h('div', { class: 'side-column' },
    h('section', null, h('h2', null, 'Size on disk'), sizes.element),
    h('section', null, h('h2', null, 'Time a window, against dense'), runtime.element),
    h('section', null, h('h2', null, 'What the numbers say'), says)));
mount(h('main', { class: 'app' },
  h('header', { class: 'top' }, h('div', { class: 'head-line' }, title, setup, jobBox), progress.element), banner.element,
  waiting, body,
  h('footer', { class: 'status' }, command, h('div', { class: 'status-actions' },
    button('Open report', 'secondary', () => void call('openReport', { dir }).catch(report), 'Write report.md with its plots and open it'),
    button('Export CSV', 'secondary', () => void call('exportCsv', { dir }).catch(report), 'One row a cell')))));

const observer = new ResizeObserver(() => {
  for (const chart of [perplexity, sizes, runtime]) chart.resize(chart.element.clientWidth, chart.element.clientHeight);
});
for (const chart of [perplexity, sizes, runtime]) observer.observe(chart.element);

// ---- data ----
async function load(): Promise<void> {
  const known = await call('jobs', {}).catch(() => ({ jobs: [] as JobJson[] }));
  job = known.jobs.filter(isOurs).at(-1) ?? job;
  try {
    sweep = await call('sweepResult', { dir });
    banner.hide();
  } catch (error) {
    // A sweep that has just started has no store yet; its next progress asks again.
    if (job?.state !== 'running') report(error);
  }
  show();
}
const refresh = throttle(() => { call('sweepResult', { dir }).then((next) => { sweep = next; show(); }, () => undefined); }, 1500);

function show(): void {
  showJob();
  body.classList.toggle('empty', !sweep || sweep.cells.length === 0);
  waiting.hidden = (sweep?.cells.length ?? 0) > 0 || (!sweep && job?.state !== 'running');
  if (!sweep) return;
  topics = topicsOf(sweep);
  const name = trimmedPath(sweep.checkpoint).split(/[\\/]/).at(-1) ?? sweep.checkpoint;
  setText(title, `Sweep · ${name}`);
  title.title = sweep.checkpoint;
  const methods = new Set(sweep.cells.filter((cell) => cell.level > 0).map((cell) => cell.method)).size;
  const levels = new Set(sweep.cells.filter((cell) => cell.level > 0).map((cell) => cell.level)).size;
  const { setup: s } = sweep;
  const topic = topics[Math.min(chosen, topics.length - 1)];
  const text = sweep.texts.find((one) => one.benchmark === topic?.cells[0].benchmark) ?? s;
  const fact = (text: string, hint?: string): HTMLElement => h('span', { class: 'fact', title: hint }, text);
  setup.replaceChildren(
    ...(methods > 0 ? [fact(`${plural(methods, 'method')} × ${plural(levels, 'level')}`)] : []),
    ...(topic ? [fact(topic.title, `context ${s.context}, stride ${s.stride}`)] : []),
    fact(`context ${s.context} / ${s.stride}`, 'context / stride of the windows'),
    fact(`${grouped(text.scoredTokens)} scored tokens`, `${grouped(text.tokens)} tokens in ${plural(text.windows, 'window')}${s.limit === null ? '' : `, limited to ${s.limit}`}\ntext sha256 ${text.textSha256}\ntokenizer ${s.tokenizer}`),
    fact(`${s.provider} · ${s.weightDtype === s.computeDtype ? s.computeDtype : `${s.weightDtype} computed in ${s.computeDtype}`}`, `${plural(s.threads, 'thread')}, seed ${s.seed}, Winnow ${s.winnow}, ${s.started}\n${grouped(s.prunableParameters)} of ${grouped(s.parameters)} parameters prunable`));
  if (topics.length > 1 && topicBox.childElementCount === 0) {
    topicBox.append(dropdown('Benchmark', topics.map((t, i) => ({ value: String(i), label: t.title })), (value) => { chosen = Number(value); keep(); show(); }));
  }
  if (!topic) return;
  setText(metricTitle, `${topic.metric} against weights pruned`);
  perplexity.setData(topic);
  logBox.checked = perplexity.isLog();
  sizes.setData(topic.series[0] ?? null);
  runtime.setData(topic);
  cells.replaceChildren(cellsTable(topic, s.margin));
  says.replaceChildren(...sentencesOf(sweep.findings, topic).map((sentence) => h('p', null, ...sentence.map((part) => (typeof part === 'string' ? part : h('strong', null, part.strong))))));
  document.body.dataset.ready = 'curves';
}

function showJob(): void {
  const running = job?.state === 'running';
  jobBox.hidden = !job || job.state === 'done';
  ring.hidden = !running;
  cancel.hidden = !running;
  progress.element.classList.toggle('idle', !running);
  const at = job?.progress;
  progress.set(running ? (at && at.total ? at.done / at.total : null) : 0);
  if (job) {
    const left = at && at.total && at.done > 0 ? ` · ${formatClock(((Date.now() - job.startedMs) / 1000 / at.done) * (at.total - at.done))} left` : '';
    setText(progressText, running ? (at ? `${at.total ? `${at.done} of ${at.total} ${at.unit} · ` : ''}${at.stage}${left}` : 'starting')
      : job.state === 'failed' ? job.message ?? 'failed' : job.state === 'lost' ? 'its process is gone; run it again to resume' : job.state);
  }
  const args = job?.args ?? (sweep ? ['sweep', sweep.checkpoint, '--out', sweep.out] : []);
  setText(command, args.length === 0 ? '' : `winnow ${args.map(quoted).join(' ')}`);
  command.title = command.textContent ?? '';
}
const quoted = (arg: string): string => (/^[\w./:,=@%+*-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`);

onThemeChange(() => { readTheme(); });
bridge.hello();
