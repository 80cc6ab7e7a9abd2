/** The inspector: wires the bridge, the state and the parts. Data comes in by one way, requests go out by one way. */
import { makeBanner } from '../banner';
import { CallFailure, connect } from '../bridge';
import { dropdown, makeTree, registerControls, searchField } from '../controls';
import { coalesce, debounce, h, mount, throttle } from '../dom';
import { formatValue } from '../format';
import { usefulRange } from '../grid';
import { rampColour } from '../ramp';
import { chooseTarget, chooseThreshold, firstCut, Fractions, heatIds, noScan, provisionalCurve, readKept, roleMeans, scanAdvanced } from '../store';
import type { CutState, Kept, ScanState, Sort } from '../store';
import { onThemeChange, readTheme } from '../theme';
import { makeTroubles } from '../troubles';
import { hideTooltip } from '../tooltip';
import { setBelowHeader } from '../tree';
import { makeControlsRow } from './controlsRow';
import { makeFacts } from './facts';
import { makeHover } from './hover';
import { makePanel } from './panel';
import { makeSelection, PRUNABLE } from './selection';
import { makeSession } from './session';
import { makeStatus } from './status';
import type { Facts, JobJson, NodeId } from '../../server/protocol/editor';

registerControls();

let path = '';
let facts: Facts | null = null;
let cut: CutState = firstCut;
let scan: ScanState = noScan;
let kept: Kept = readKept(null, '');
let jobs: JobJson[] = [];
let theme = readTheme();
let expanded = new Set<NodeId>();
let scanCall: AbortController | null = null;
let loadNumber = 0;
/** The threshold comes from a part of the model, because the rest is not scanned yet. Set once, so that nothing drifts. */
let provisional = false;
const fractions = new Fractions();

const { bridge, api } = connect({
  welcome: (message) => { path = message.path; restore(); void load(); },
  server: (state, detail) => troubles.server(state, detail),
  events: {
    scanProgress: (event) => {
      if (!isOurs(event.path) || scan.state !== 'running') return;
      scan = scanAdvanced(scan, event);
      status.scan(scan);
      refreshWhileScanning();
    },
    jobChanged: ({ job }) => {
      if (!isOurs(job.checkpoint)) return;
      jobs = [...jobs.filter((other) => other.id !== job.id), job];
      status.jobs(jobs.slice(-2));
    },
    engineState: ({ state, detail }) => troubles.server(state, detail),
    checkpointChanged: (event) => { if (isOurs(event.path)) void load(); },
  },
});
const call = bridge.call;
/** The server may call the checkpoint by another of its paths: a folder by its index, a link by its target. */
const isOurs = (other: string): boolean => other === path || other === facts?.path;

const fraction = (id: NodeId): number | null => fractions.of(id, cut.threshold);
const colour = (at: number): string => rampColour(theme.ramp, at);
const prunableCurve = (): Uint16Array | null => fractions.curves.get(PRUNABLE) ?? null;
const ready = (): boolean => prunableCurve() !== null && cut.threshold !== null;

// ---- parts ----
const factsLine = makeFacts();
const banner = makeBanner();
const troubles = makeTroubles({
  banner,
  bridge: () => bridge,
  reload: () => void load(),
  down: () => { if (scan.state === 'running') { scan = { ...scan, state: 'failed', message: 'the server stopped' }; showScan(); } },
  note: '',
});
const { report } = troubles;
const controls = makeControlsRow({
  threshold: (value, dragging) => chooseCut(chooseThreshold(cut, value, prunableCurve(), dragging)),
  target: (value, dragging) => chooseCut(chooseTarget(cut, value, prunableCurve(), dragging)),
  prune: () => command('prune'),
  sweep: () => command('sweep'),
});
const status = makeStatus({
  cancelScan: () => scanCall?.abort(),
  startScan: () => void runScan(),
  cancelJob: (id) => void call('cancelJob', { id }).catch(report),
  openJob: (job) => { if (job.out !== null) void (job.kind === 'sweep' ? call('openReport', { dir: job.out }) : call('openPath', { path: job.out })).catch(report); },
  dismissJob: (id) => {
    jobs = jobs.filter((job) => job.id !== id);
    status.jobs(jobs.slice(-2));
    void call('dismissJob', { id }).catch(report);
  },
});
const hover = makeHover(call, { path: () => path, scanned: () => scan.state === 'done', threshold: () => cut.threshold, fraction });
const panel = makePanel({
  selectCell: (cell) => void selection.cell(cell),
  hoverCell: hover.cell,
  drag: (value) => { if (ready()) chooseCut(chooseThreshold(cut, value, prunableCurve(), true)); },
  release: (value) => { if (ready()) chooseCut(chooseThreshold(cut, value, prunableCurve(), false)); },
});
const reloadSoon = debounce(() => void tree.reload().catch(report), 120);
const filterField = searchField('Filter tensors', (text) => { kept.filter = text; save(); tree.scrollTo(0); reloadSoon(); });
const sortField = dropdown('Order', [{ value: 'file', label: 'File order' }, { value: 'parameters', label: 'Largest first' }, { value: 'name', label: 'By name' }],
  (value) => { kept.sort = value as Sort; save(); tree.scrollTo(0); reloadSoon(); });
const tree = makeTree({
  fetch: (from, to) => call('rows', { path, expanded: [...expanded], from, to, filter: kept.filter.trim(), sort: kept.sort }),
  fraction,
  colour,
  select: (row) => selection.row(row),
  toggle: (row) => { if (expanded.has(row.id)) expanded.delete(row.id); else expanded.add(row.id); save(); void tree.reload().catch(report); },
  hover: hover.row,
  viewed: () => { session.need(); save(); },
}, h('div', { class: 'tree-tools' }, filterField, sortField));

const selection = makeSelection(call, tree, panel, {
  path: () => path,
  query: () => ({ expanded: [...expanded], filter: kept.filter.trim(), sort: kept.sort }),
  scan: () => scan.state,
  current: () => kept.selection,
  choose: (next) => { kept.selection = next; session.need(); paintSoon(); save(); },
  expand: async (group) => { if (!expanded.has(group)) { expanded.add(group); await tree.reload(); } },
  repaint: () => paintSoon(),
  report,
});

const session = makeSession(call, fractions, {
  path: () => path,
  wanted: () => {
    const rows = tree.visibleRows();
    const chosen = kept.selection ? [kept.selection.node] : [];
    return [PRUNABLE, ...chosen, ...rows.map((row) => row.id), ...rows.flatMap((row) => row.parts), ...(facts ? heatIds(facts) : [])];
  },
  cut: () => cut,
  setCut: (next) => { cut = next; save(); },
  changed: () => { firstThreshold(); paintSoon(); },
  scanned: () => scan.state === 'done',
});

mount(h('main', { class: 'app' },
  h('header', { class: 'top' }, factsLine.element, factsLine.problems, controls.element), banner.element,
  h('div', { class: 'columns' }, tree.element, panel.element), status.element));

// ---- painting ----
const paint = (): void => {
  const started = performance.now();
  const node = kept.selection?.node ?? PRUNABLE;
  controls.show(cut, ready());
  tree.repaint();
  // A threshold that was kept from before says nothing about weights that cannot be scanned.
  const threshold = ready() || scan.state === 'running' ? cut.threshold : null;
  setBelowHeader(tree, threshold === null ? 'below' : `below ${cut.exact ? '' : '≈ '}${formatValue(threshold)}`);
  const overall = ready() ? cut.sparsity : null;
  panel.paint({ fraction, colour, means: facts ? roleMeans(facts, fraction) : new Map() }, threshold, node === PRUNABLE ? overall : fraction(node), overall);
  status.cut(cut, ready() ? facts : null);
  // Read by the tests: how long the last repaint took, and what is shown.
  document.body.dataset.paintMs = (performance.now() - started).toFixed(1);
  document.body.dataset.exact = String(cut.exact !== null);
};
const paintSoon = coalesce(paint);

const save = throttle(() => {
  kept = { ...kept, path, drive: cut.drive, threshold: cut.threshold, sparsity: cut.sparsity, expanded: [...expanded], scrollTop: tree.scrollTop() };
  if (path !== '') api.setState(kept);
}, 250);

/** From the state that the window kept. */
function restore(): void {
  kept = readKept(api.getState(), path);
  expanded = new Set(kept.expanded);
  cut = { ...firstCut, drive: kept.drive, sparsity: kept.sparsity, threshold: kept.threshold };
  filterField.value = kept.filter;
  sortField.value = kept.sort;
  tree.scrollTo(kept.scrollTop);
  tree.setSelected(kept.selection?.row ?? null);
}

/** The slider's range and, in target mode, the first threshold: once the curve of the prunable set is here. */
function firstThreshold(): void {
  const curve = prunableCurve();
  if (curve) controls.setRange(usefulRange(curve));
  if (curve && (cut.threshold === null || provisional)) { cut = chooseTarget(cut, cut.sparsity, curve, false); provisional = false; }
  if (curve || cut.threshold !== null || !facts) return;
  const sofar = provisionalCurve(facts, fractions.curves);
  if (sofar) { cut = chooseTarget(cut, cut.sparsity, sofar, false); provisional = true; }
}

function chooseCut(next: CutState): void {
  session.unsettle();
  cut = next;
  hideTooltip();
  paintSoon();
  if (!next.dragging) { save(); session.settle(); }
}

// ---- loading ----
async function load(): Promise<void> {
  loadNumber += 1;
  const mine = loadNumber;
  scanCall?.abort();
  try {
    const next = await call('inspect', { path });
    if (mine !== loadNumber) return;
    if (facts?.fingerprint !== next.fingerprint) { fractions.clear(); hover.forget(); cut = { ...cut, exact: null }; }
    facts = next;
    session.reset();
    banner.hide();
    factsLine.show(next);
    panel.setFacts(next);
    panel.setSelected(kept.selection?.role ?? null, kept.selection?.layer ?? null);
    paintSoon();
    await tree.reload();
    document.body.dataset.ready = 'rows';
    void call('jobs', {}).then((answer) => { jobs = answer.jobs.filter((job) => isOurs(job.checkpoint)); status.jobs(jobs.slice(-2)); }, () => undefined);
    await runScan();
  } catch (error) {
    if (mine === loadNumber) report(error);
  }
}

async function runScan(): Promise<void> {
  const mine = loadNumber;
  const controller = new AbortController();
  scanCall = controller;
  scan = { ...noScan, state: 'running', total: facts?.bytes ?? 0 };
  showScan();
  void selection.showHistogram();
  try {
    const result = await call('scan', { path }, controller.signal);
    if (mine !== loadNumber) return;
    scan = { ...scan, state: 'done', done: result.bytes, total: result.bytes, seconds: result.seconds, cached: result.cached };
    showScan();
    session.reset();
    await tree.reload();
    session.need();
    await selection.showHistogram();
  } catch (error) {
    if (mine !== loadNumber || !(error instanceof CallFailure)) return;
    scan = { ...scan, state: error.code === 'cancelled' ? 'cancelled' : 'failed', message: '' };
    showScan();
    if (error.code !== 'cancelled') report(error);
  }
}

function showScan(): void {
  status.scan(scan);
  document.body.dataset.scan = scan.state;
}

const refreshWhileScanning = throttle(() => {
  if (scan.state !== 'running') return;
  void tree.reload().catch(report);
  session.refresh();
}, 500);

// ---- commands ----
function command(name: 'prune' | 'sweep'): void {
  const asked = name === 'prune' ? call('prune', { path, sparsity: cut.sparsity }) : call('sweep', { path });
  asked.catch(report);
}

onThemeChange(() => { theme = readTheme(); paintSoon(); });
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') hideTooltip(); });
bridge.hello();
