/**
 * Every message between the view, the extension host, the server and the engine. One map; everything else is derived.
 *
 *   view  --call-->  extension host  --LSP request `winnow/<method>`-->  server  --IPC-->  engine
 *
 * The view calls a method of `EditorMethods` and gets a result, a failure, `cancelled` or `server-stopped`: every request
 * ends. Messages are bounded by the pixels and rows on screen; weights never travel. Imports only its neighbours here.
 */
import type { InspectJson, JobProgressJson, Num, ProblemJson, StatsNumbers, SweepJson, CatalogJson } from './verbs';

/** Told by the view with `hello`: a page of an earlier version is asked to reload. */
export const PROTOCOL_VERSION = 1;

/** Node of the tree: `all`, `prunable`, `g:<group>`, `t:<tensor name>`; or a heat cell `c:<role>|<layer>`. */
export type NodeId = string;

/** The grid that all curves share: GRID_POINTS magnitudes, log-spaced over [GRID_MIN, GRID_MAX]. */
export const GRID_POINTS = 256;
export const GRID_MIN = 2 ** -24;
export const GRID_MAX = 2 ** 8;

/** Nodes asked about in one call: as many curves, in base64 and with their ids, as go into the 256 KiB that a message may have. */
export const MAX_IDS = 300;

export interface Facts {
  name: string;
  path: string;
  format: string;
  files: { path: string; bytes: number }[];
  bytes: number;
  parameters: number;
  prunableParameters: number;
  storedElements: number;
  tensorCount: number;
  dtypes: Record<string, number>;
  architecture: string | null;
  architectureTitle: string | null;
  problems: (ProblemJson & { sentence: string })[];
  /** What the files hold besides plain tensors of the model, at most 200 of `opaqueCount`. Missing when there is nothing. */
  opaque?: { name: string; kind: string; detail: string; shape: number[] | null }[];
  opaqueCount?: number;
  /** Roles and layers of the heatmap, in drawing order. A role appears when at least one layer has it. */
  heat: { roles: string[]; layers: number[]; cells: { role: string; layer: number; parameters: number; tensors: number }[] };
  /** Changes whenever a file's size or time changes; a view drops what it knows when it differs. */
  fingerprint: string;
  scanned: boolean;
}

export interface Row {
  id: NodeId;
  label: string;
  depth: 0 | 1;
  kind: 'group' | 'tensor';
  /** Tensors below a group; 0 for a tensor. */
  children: number;
  expanded: boolean;
  parameters: number;
  bytes: number;
  prunable: boolean;
  dtype: string;
  shape: number[] | null;
  role: string | null;
  layer: number | null;
  /** Null until this node is scanned. */
  stats: StatsNumbers | null;
  /** For a group: the ids of up to 16 children, for the little split bar. */
  parts: NodeId[];
  /** Parameters of each part, in the same order: the widths of the split bar. Left out, all are as wide. */
  partParameters?: number[];
}

/** Base64 of GRID_POINTS Uint16 (little endian): fraction (0..65535) of the node's elements with |w| <= grid magnitude; a bound of +-1 grid step. */
export interface Curve { id: NodeId; base64: string }

export interface HistogramBars {
  id: NodeId;
  title: string;
  shape: number[] | null;
  dtype: string;
  /** Edges in |w|, log-spaced, one more than counts; zeros are apart. */
  edges: number[];
  counts: number[];
  stats: StatsNumbers;
  /** Dead rows (an output unit with only zeros) and weights that already hold 2:4; null where it makes no sense or is not known. */
  extra: { deadRows: number | null; rows: number | null; twoFourReady: number | null };
}

/** The exact answer to a threshold or a target. */
export interface Cut {
  threshold: Num;
  /** Fractions over the prunable set: |w| <= threshold before pruning, and what pruning to `sparsity` gives. */
  sparsity: number;
  selected: number;
  scopeParameters: number;
  exact: boolean;
  /** Exact fraction |w| <= threshold of each node that was asked for. */
  nodes: { id: NodeId; fraction: number | null }[];
}

export type JobKind = 'prune' | 'sweep' | 'convert' | 'eval';
export type JobState = 'running' | 'done' | 'failed' | 'cancelled' | 'lost';

/** A detached `winnow` CLI process, followed by its progress file. */
export interface JobJson {
  id: string;
  kind: JobKind;
  title: string;
  checkpoint: string;
  args: string[];
  pid: number;
  state: JobState;
  startedMs: number;
  endedMs: number | null;
  progress: JobProgressJson | null;
  /** Set when done: the written folder or file, or the sweep's folder. */
  out: string | null;
  /** One sentence, set when failed. */
  message: string | null;
}

export interface EditorMethods {
  /** Headers only. */
  inspect: { params: { path: string }; result: Facts };
  /** Rows [from, to) of the tree with the given groups expanded, optionally filtered by a substring. */
  rows: { params: { path: string; expanded: NodeId[]; from: number; to: number; filter: string; sort: 'file' | 'parameters' | 'name' }; result: { total: number; rows: Row[] } };
  /**
   * Where a node stands once its group is expanded too: `index` among the rows, null when the filter hides it. A heat cell stands
   * for its largest tensor; `id` is then that tensor's. `group` is the id to add to `expanded`, null for a node at depth 0.
   */
  locate: { params: { path: string; id: NodeId; expanded: NodeId[]; filter: string; sort: 'file' | 'parameters' | 'name' }; result: { id: NodeId; group: NodeId | null; index: number | null } };
  /** One exact pass over the file. Progress comes as `scanProgress`. Answered from the cache when nothing changed. */
  scan: { params: { path: string }; result: { seconds: number; bytes: number; cached: boolean } };
  /** Curves of at most MAX_IDS nodes a call. */
  curves: { params: { path: string; ids: NodeId[] }; result: { curves: Curve[] } };
  /** Histogram of one node in at most `bars` bars. */
  histogram: { params: { path: string; id: NodeId; bars: number }; result: HistogramBars };
  /** Exact threshold for a target sparsity (global scope), or exact sparsity for a threshold. */
  cut: { params: { path: string; sparsity: number | null; threshold: number | null; ids: NodeId[] }; result: Cut };
  /** Everything `winnow inspect --json` prints, for tests and other extensions. */
  inspectFull: { params: { path: string }; result: InspectJson };
  catalog: { params: Record<string, never>; result: CatalogJson };
  /** `args` are the words after `winnow`, the verb first: ["prune", "/models/gpt2", "--sparsity", "0.5"]. `checkpoint` is absolute. */
  startJob: { params: { kind: JobKind; checkpoint: string; args: string[]; title: string }; result: JobJson };
  jobs: { params: Record<string, never>; result: { jobs: JobJson[] } };
  cancelJob: { params: { id: string }; result: JobJson };
  dismissJob: { params: { id: string }; result: Record<string, never> };
  /** A finished or running sweep's store, summarised. */
  sweepResult: { params: { dir: string }; result: SweepJson };
  /** The same as a table: what `winnow report` writes as CSV. */
  sweepTable: { params: { dir: string }; result: { csv: string } };
}
export type EditorMethod = keyof EditorMethods;
export type Params<M extends EditorMethod> = EditorMethods[M]['params'];
export type Result<M extends EditorMethod> = EditorMethods[M]['result'];
export type Call = <M extends EditorMethod>(method: M, params: Params<M>, signal?: AbortSignal) => Promise<Result<M>>;

/** Pushed without being asked. */
export interface EditorEvents {
  scanProgress: { path: string; done: number; total: number; bytesPerSecond: number };
  jobChanged: { job: JobJson };
  /** The engine died or came back. `signal` e.g. SIGKILL. */
  engineState: { state: 'running' | 'restarting' | 'stopped'; detail: string };
  /** A checkpoint changed on disk. */
  checkpointChanged: { path: string };
}
export type EditorEvent = keyof EditorEvents;

/** A failure as it travels: the sentence is made at the edge already. */
export interface Failure { code: string; sentence: string }

/** Requests that only the extension host can serve (it owns commands, settings and files). */
export interface HostMethods {
  /** Asks the person to confirm and starts the job. */
  prune: { params: { path: string; sparsity: number }; result: { started: boolean } };
  sweep: { params: { path: string }; result: { started: boolean } };
  openPath: { params: { path: string }; result: Record<string, never> };
  openReport: { params: { dir: string }; result: Record<string, never> };
  exportCsv: { params: { dir: string }; result: Record<string, never> };
  restartServer: { params: Record<string, never>; result: Record<string, never> };
  /** Settings a view needs. */
  settings: { params: Record<string, never>; result: { path: string; levels: number[] } };
}

/** View -> host. */
export type ViewToHost =
  | { type: 'hello'; version: number }
  | { type: 'call'; id: number; method: EditorMethod | keyof HostMethods; params: unknown }
  | { type: 'cancel'; id: number }
  /** Something threw in the view, or the content policy was violated: logged, and a test fails on it. */
  | { type: 'fault'; message: string };

/** Host -> view. */
export type HostToView =
  | { type: 'welcome'; version: number; view: 'inspector' | 'sweep'; path: string }
  | { type: 'result'; id: number; result: unknown }
  | { type: 'failure'; id: number; failure: Failure }
  | { [E in EditorEvent]: { type: 'event'; event: E; payload: EditorEvents[E] } }[EditorEvent]
  /** The server went away (pending calls have failed with `server-stopped`) or is back: reload what is on screen. */
  | { type: 'server'; state: 'stopped' | 'running'; detail: string };
