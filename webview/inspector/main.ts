/** The inspector: wires the bridge, the state and the parts. Data comes in by one way, requests go out by one way. */
import { makeBanner } from '../banner';
import { CallFailure, connect } from '../bridge';
import type { HeatCell } from '../charts/heatmap';
import { dropdown, makeTree, registerControls, searchField } from '../controls';
import { coalesce, debounce, h, mount, throttle } from '../dom';
import { formatValue } from '../format';
import { usefulRange } from '../grid';
import { rampColour } from '../ramp';
import { chooseTarget, chooseThreshold, firstCut, Fractions, heatIds, noScan, readKept, roleMeans, scanAdvanced } from '../store';
import type { CutState, Kept, ScanState, Selection, Sort } from '../store';
import { onThemeChange, readTheme } from '../theme';
import { hideTooltip } from '../tooltip';
import { setBelowHeader } from '../tree';
import { makeControlsRow } from './controlsRow';
import { makeFacts } from './facts';
import { makeHover } from './hover';
import { makePanel, PRUNABLE } from './panel';
import { makeSession } from './session';
import { makeStatus } from './status';
import type { Facts, JobJson, NodeId, Row } from '../../server/protocol/editor';

const BARS = 180;

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
const fractions = new Fractions();

const { bridge, api } = connect({
  welcome: (message) => { path = message.path; restore(); void load(); },
  server: (state, detail) => serverChanged(state, detail),
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
    engineState: ({ state, detail }) => serverChanged(state, detail),
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
  selectCell: (cell) => void selectCell(cell),
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
  select: (row) => selectRow(row),
  toggle: (row) => { if (expanded.has(row.id)) expanded.delete(row.id); else expanded.add(row.id); save(); void tree.reload().catch(report); },
  hover: hover.row,
  viewed: () => { session.need(); save(); },
}, h('div', { class: 'tree-tools' }, filterField, sortField));

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
  if (!curve) return;
  controls.setRange(usefulRange(curve));
  if (cut.threshold === null) cut = chooseTarget(cut, cut.sparsity, curve, false);
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
  void showHistogram();
  try {
    const result = await call('scan', { path }, controller.signal);
    if (mine !== loadNumber) return;
    scan = { ...scan, state: 'done', done: result.bytes, total: result.bytes, seconds: result.seconds, cached: result.cached };
    showScan();
    session.reset();
    await tree.reload();
    session.need();
    await showHistogram();
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

// ---- selection ----
function selectRow(row: Row): void {
  kept.selection = { row: row.id, node: row.id, role: row.role, layer: row.layer };
  selectionChanged(kept.selection);
}

async function selectCell(cell: HeatCell): Promise<void> {
  selectionChanged(kept.selection = { row: kept.selection?.row ?? null, node: cell.id, role: cell.role, layer: cell.layer });
  try {
    const place = await call('locate', { path, id: cell.id, expanded: [...expanded], filter: kept.filter.trim(), sort: kept.sort });
    if (kept.selection?.node !== cell.id) return;
    if (place.group !== null && !expanded.has(place.group)) { expanded.add(place.group); await tree.reload(); }
    kept.selection = { ...kept.selection, row: place.id, node: cell.tensors > 1 ? cell.id : place.id };
    tree.setSelected(place.id);
    if (place.index !== null) tree.showIndex(place.index);
    selectionChanged(kept.selection);
  } catch (error) { report(error); }
}

function selectionChanged(selection: Selection): void {
  panel.setSelected(selection.role, selection.layer);
  showHistogramSoon();
  session.need();
  paintSoon();
  save();
}

const showHistogramSoon = debounce(() => void showHistogram(), 50);
async function showHistogram(): Promise<void> {
  const node = kept.selection?.node ?? PRUNABLE;
  const title = node === PRUNABLE ? 'prunable weights' : node.slice(2).replace('|', ', layer ');
  // Asked before, this would start a scan of its own that nobody could cancel.
  if (scan.state !== 'done') { panel.setHistogram(null, title, scan.state === 'failed' ? 'not scanned' : 'not scanned yet'); return; }
  try {
    const bars = await call('histogram', { path, id: node, bars: BARS });
    if ((kept.selection?.node ?? PRUNABLE) !== node) return;
    panel.setHistogram(bars, '', '');
  } catch (error) {
    if ((kept.selection?.node ?? PRUNABLE) !== node || (error instanceof CallFailure && error.code === 'server-stopped')) return;
    panel.setHistogram(null, title, error instanceof CallFailure ? error.sentence : 'no histogram');
  }
  paintSoon();
}

// ---- commands and troubles ----
function command(name: 'prune' | 'sweep'): void {
  const asked = name === 'prune' ? call('prune', { path, sparsity: cut.sparsity }) : call('sweep', { path });
  asked.catch(report);
}

function report(error: unknown): void {
  if (error instanceof CallFailure) {
    if (error.code === 'cancelled' || error.code === 'server-stopped') return;
    banner.show(error.sentence, 'error', { label: 'Try again', act: () => void load() });
  } else bridge.fault(String(error instanceof Error ? error.stack : error));
}

let wasDown = false;
function serverChanged(state: 'stopped' | 'restarting' | 'running', detail: string): void {
  if (state === 'running') {
    if (!wasDown) return;
    wasDown = false;
    banner.hide();
    void load();
    return;
  }
  wasDown = true;
  if (scan.state === 'running') { scan = { ...scan, state: 'failed', message: 'the server stopped' }; showScan(); }
  if (state === 'restarting') banner.show(`The Winnow engine stopped (${detail}) and is starting again.`, 'info');
  else banner.show(`The Winnow server stopped${detail ? `: ${detail}` : ''}.`, 'error', { label: 'Restart server', act: () => void call('restartServer', {}).catch(report) });
}

onThemeChange(() => { theme = readTheme(); paintSoon(); });
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') hideTooltip(); });
bridge.hello();
