/**
 * What each verb prints with --json. This file is the single source: `protocol/schemas.json` is generated from it
 * (`npm run schemas`) and a test validates what each verb prints. Imports nothing.
 *
 * Non-finite numbers travel as text, because JSON has none; null means not applicable (0/0, an empty tensor).
 */
export type Num = number | 'NaN' | 'Infinity' | '-Infinity';

export interface ProblemJson {
  code: string;
  where: { file?: string; tensor?: string; key?: string; line?: number };
  detail: string;
}

export interface InspectJson {
  format: string;
  path: string;
  files: { path: string; bytes: number }[];
  parameters: number;
  tensorCount: number;
  bytes: number;
  /** Elements by dtype. */
  dtypes: Record<string, number>;
  architecture: string | null;
  tied: string[][];
  problems: ProblemJson[];
  tensors: {
    name: string; dtype: string; shape: number[]; parameters: number; bytes: number; role: string; layer: number | null; stack?: 'encoder' | 'decoder'; prunable: boolean;
    /** What the file calls the type, and its bits a weight, where `dtype` is only what it decodes to. */
    storedName?: string; storedDtype?: string; storedBits?: number;
  }[];
  /** What the file holds besides the model's plain tensors: optimizer state, sparse tensors, objects. Missing when there is nothing. */
  opaque?: { name: string; kind: string; shape?: number[]; detail: string; section?: 'model' | 'optimizer' }[];
}

export interface StatsNumbers {
  parameters: number;
  zeros: number;
  nan: number;
  inf: number;
  aboveThreshold: number | null;
  fractionAbove: number | null;
  min: Num | null;
  max: Num | null;
  mean: Num | null;
  std: Num | null;
  absMax: Num | null;
}

export interface StatsJson {
  threshold: number | null;
  overall: StatsNumbers;
  stored: StatsNumbers;
  prunable: StatsNumbers;
  /** `stack`: which row of blocks of an encoder-decoder. */
  layers: (StatsNumbers & { layer: number; stack?: 'encoder' | 'decoder'; prunable: StatsNumbers })[];
  tensors: (StatsNumbers & { name: string })[];
}

/** Everything that makes two calibrations the same. */
export interface CalibrationJson {
  /** A path, or a benchmark and its split. */
  text: string;
  textSha256: string;
  /** Windows, and tokens of each. */
  samples: number;
  length: number;
  /** Tokens that were fed in all. */
  tokens: number;
  seed: number;
  /** Whether all blocks were calibrated as they are; otherwise each on what came through the pruned blocks before it. */
  oneShot: boolean;
  /** Where the model really ran. */
  provider: string;
}

export interface PruneJson {
  out: string;
  method: string;
  scope: 'global' | 'tensor' | 'row';
  /** "unstructured" or e.g. "2:4". */
  pattern: string;
  /** What sets it apart from the method's plain form: `owl`, `ria-power=0.3`. Empty where nothing does. */
  options: string[];
  target: number;
  achieved: number | null;
  achievedTotal: number | null;
  threshold: Num | null;
  scopeParameters: number;
  selected: number;
  changed: number;
  prunedParameters: number;
  tensors: { name: string; parameters: number; layer: number | null; stack?: 'encoder' | 'decoder'; sparsityBefore: number | null; sparsityAfter: number | null; changed: number }[];
  /** How the weights are stored: `dense`, `bitmask` or `24-bitmask`. */
  format: string;
  bytes: number;
  seconds: number;
  /** Path of the manifest beside the output. */
  manifest: string | null;
  /** What the inputs of the matrices were taken from; null where the method looks at weights alone. */
  calibration: CalibrationJson | null;
  /** Path of the written masks, null when none were asked for. */
  masks: string | null;
  /** Nothing was written: `out`, `bytes` and `changed` are what pruning would give, `needs` what it would take. */
  dryRun: boolean;
  needs?: PruneNeedsJson;
  /** What a structured method takes out; its counts of weights are of those that are gone, not zero. `kept` are numbers of units, from 0. */
  structure?: { unit: 'heads' | 'neurons' | 'layers'; parameters: number; blocks: { block: string; of: number; kept: number[] }[] };
  problems: ProblemJson[];
}

/** What a pruning would take. */
export interface PruneNeedsJson {
  diskBytes: number;
  freeDiskBytes: number;
  /** Besides what the program has when it idles. */
  memoryBytes: number;
  /** About; planning, which a pruning does again, and writing at the assumed speed. */
  seconds: number;
  planSeconds: number;
  assumedBytesPerSecond: number;
}

export interface ApplyJson {
  out: string;
  masks: string;
  /** Weights that the masks cover, and how many of them they zero. */
  maskedParameters: number;
  prunedParameters: number;
  /** Newly zeroed. */
  changed: number;
  tensors: { name: string; parameters: number; sparsityBefore: number | null; sparsityAfter: number | null; changed: number }[];
  bytes: number;
  seconds: number;
  problems: ProblemJson[];
}

export type Metric = 'perplexity' | 'pseudo-perplexity' | 'word-perplexity' | 'accuracy';

export interface EstimateJson { value: number; standardError: number | null }

export interface EvalJson {
  benchmark: string;
  protocol: string;
  context: number;
  stride: number;
  metric: Metric;
  /** exp(mean loss), per word for `word-perplexity`; a fraction for `accuracy`. */
  value: Num;
  meanLoss: Num;
  asPublished: Num | null;
  standardError: Num | null;
  standardErrorIid: Num | null;
  tokens: number;
  scoredTokens: number;
  windows: number;
  limit: number | null;
  provider: string;
  weightDtype: string;
  computeDtype: string;
  seconds: number;
  tokensPerSecond: number;
  textSha256: string;
  tokenizer: string;
  /** How a masked LM decodes, where its family knows more than one way. */
  decoder?: 'emd' | 'plain';
  /** The field of a JSON Lines file that was read, where it is not `text`. */
  field?: string;
  /** Documents or questions that were scored each by itself. */
  items?: number;
  /** Of a word perplexity: words and bytes as they were before the text was prepared for the tokenizer. */
  perWord?: { words: number; bytes: number; bytePerplexity: Num; bitsPerByte: Num };
  /** Share of items that are right; `accuracyNorm`: choices compared by loss over length. */
  accuracy?: EstimateJson;
  accuracyNorm?: EstimateJson;
  /** `<unk>` in the text: how often, and as how many tokens each; null where there is none. */
  unknownWords: { count: number; tokensEach: number } | null;
  /** Told before the run (memory) and from its first windows (seconds); null where there was nothing to tell it from. */
  predicted: { seconds: number | null; memoryBytes: number | null };
  /** Most memory that the runtime's process held, mapped weights included; null where it is not known. */
  peakMemoryBytes: number | null;
  /** With --against: the reference on the same tokens, and how far the predictions lie from its own. */
  against?: AgainstJson;
  problems: ProblemJson[];
}

/** What llama.cpp's `--kl-divergence` prints, over the scored tokens. Errors: block bootstrap, null under 20 blocks; `Iid`: as if tokens were independent. */
export interface DivergenceJson {
  /** Of the model from the reference, nats a token. */
  klDivergence: { mean: Num; standardError: Num | null; standardErrorIid: Num | null; median: Num; p99: Num; max: Num };
  /** Fraction of tokens to which both give the same most probable one. */
  sameTop1: { value: Num; standardError: Num | null; standardErrorIid: Num | null };
  /** By how much the probability of the right token changed. */
  probabilityChange: { mean: Num; rms: Num };
}

export interface AgainstJson extends DivergenceJson {
  checkpoint: string;
  /** The reference's own value; null where the metric is not one of losses. */
  value: Num | null;
  meanLoss: Num;
  /** Perplexity over the reference's, with its 95 % interval. */
  ratio: Interval;
}

/** With several protocols: each run as it is alone, and why their values differ. */
export interface EvalSeveralJson {
  runs: EvalJson[];
  /** How each protocol reads the text: tokens known when one is scored, tokens read for each scored one. */
  readings: { protocol: string; meanBefore: number; leastBefore: number; readPerScored: number; beginsAlike: boolean; joinsRows: boolean }[];
  explanation: string[];
}

export type EvalOutputJson = EvalJson | EvalSeveralJson;

export interface Interval { value: Num; low: Num; high: Num }

export interface RuntimeJson {
  /** Median milliseconds a window of the pruned weights, and of the baseline, in interleaved order. */
  medianMs: number;
  baselineMedianMs: number;
  /** Median of paired ratios pruned / baseline with its interval. */
  ratio: Interval;
  /** What the interval says. */
  verdict: 'no difference' | 'faster' | 'slower' | 'not decided';
  pairs: number;
  /** Relative margin of `no difference`. */
  margin: number;
  context: number;
  threads: number;
  provider: string;
}

/** With --divergence the figures of `DivergenceJson`, against the dense model. */
export interface SweepCellJson extends Partial<DivergenceJson> {
  /** Sparsity asked; 0 is the baseline. */
  level: number;
  /** `dense` for the baseline. */
  method: string;
  scope: 'global' | 'tensor' | 'row';
  pattern: string;
  /** What sets it apart from the method's plain form: `owl`, `ria-power=0.3`. Empty where nothing does. */
  options: string[];
  benchmark: string;
  protocol: string;
  metric: Metric;
  achieved: number | null;
  achievedTotal: number | null;
  threshold: Num | null;
  /** What the method was calibrated on; null where it looks at weights alone. */
  calibration: CalibrationJson | null;
  value: Num | null;
  meanLoss: Num | null;
  standardError: Num | null;
  standardErrorIid: Num | null;
  /** Where items are scored each by itself: how many are right. */
  accuracy?: EstimateJson;
  ratioToBaseline: Interval | null;
  /** `no difference` = the whole interval lies within the stated margin. Null for the baseline. */
  verdict: 'no difference' | 'better' | 'worse' | 'not decided' | null;
  /** Size on disk of the weights: as they are, and in three compressed forms. */
  bytes: { dense: number; deflate: number; bitmask: number; csr: number };
  /** Of the baseline: against itself, a control that must say `no difference`. */
  runtime: RuntimeJson | null;
  /** Why there is no `runtime` though it was asked for, e.g. both models do not fit into memory at once. */
  runtimeProblem: ProblemJson | null;
  seconds: number;
  /** Why there is no value, e.g. a NaN perplexity. */
  problem: ProblemJson | null;
}

/** One sentence in Markdown; the only markup is `**`. `benchmark` null: of all texts. */
export interface FindingJson { benchmark: string | null; text: string }

export interface SweepJson {
  checkpoint: string;
  /** Folder of the store. */
  out: string;
  setup: {
    architecture: string | null; parameters: number; prunableParameters: number; weightDtype: string; computeDtype: string; provider: string;
    /** Where `auto` had to pass over faster providers: which one it was, and why not those. */
    providerReason?: string;
    context: number; stride: number; limit: number | null; tokens: number; scoredTokens: number; windows: number; textSha256: string; tokenizer: string;
    /** Relative margin of `no difference`. */
    margin: number; seed: number; threads: number; winnow: string; started: string;
  };
  /** What each text was: numbers of two texts are never compared. */
  texts: { benchmark: string; tokens: number; scoredTokens: number; windows: number; textSha256: string }[];
  cells: SweepCellJson[];
  /** What the numbers say. */
  findings: FindingJson[];
}

export interface CompareJson {
  a: string;
  b: string;
  identical: boolean;
  tensors: {
    name: string;
    status: 'same' | 'differs' | 'only-in-a' | 'only-in-b' | 'shape-differs' | 'dtype-differs';
    maxAbsDifference: Num | null;
    sparsityA: number | null;
    sparsityB: number | null;
  }[];
}

export interface ConvertJson { out: string; dtype: string | null; tensors: number; bytes: number; seconds: number; problems: ProblemJson[] }

export interface ReproduceJson {
  /** `pruned`: the checkpoint was pruned before it was evaluated. */
  rows: { checkpoint: string; benchmark: string; protocol: string; pruned: { method: string; level: number } | null; setting: string; published: number; tolerance: number; source: string; status: 'agrees' | 'differs' | 'not run'; value: Num | null; reason: string | null }[];
}

export interface FetchJson {
  benchmark: string;
  out: string;
  status: 'downloaded' | 'present';
  bytes: number;
  sha256: string;
  source: string | null;
  seconds: number;
}

export interface CatalogEntry { id: string; title: string; summary: string }
/** A number that a method takes: the flag `--NAME` and the recipe key of the same name. */
export interface MethodParameterJson { name: string; title: string; help: string; fallback: number; min: number; max: number; whole: boolean }
export interface CatalogJson {
  formats: (CatalogEntry & { extensions: string[]; writable: boolean })[];
  methods: (CatalogEntry & { scopes: string[]; defaultScope: string; patterns: string[]; allocations: string[]; needsCalibration: boolean; parameters: MethodParameterJson[]; source: string | null })[];
  architectures: (CatalogEntry & { kind: string; evaluates: boolean })[];
  benchmarks: (CatalogEntry & { available: boolean; note: string | null })[];
  protocols: (CatalogEntry & { kind: string; metric: string })[];
  providers: (CatalogEntry & { available: boolean; reason: string | null })[];
}

export interface DoctorJson {
  winnow: string;
  node: string;
  platform: string;
  cpus: number;
  memoryTotal: number;
  memoryFree: number;
  onnxruntime: string;
  io: { mmap: boolean; reason: string | null };
  providers: { id: string; available: boolean; reason: string | null }[];
  dataFolder: string | null;
  missing: { what: string; how: string }[];
}

/** One line of a job's progress file, and what a progress notification carries. */
export interface JobProgressJson { stage: string; done: number; total: number | null; unit: string; note?: string }

/** SPEC.json of `winnow cell`: everything that one unit of work depends on. Whoever runs it, wherever, gets the same answer. */
export interface CellSpecificationJson {
  version: 1;
  /** Absolute path of the checkpoint. */
  checkpoint: string;
  method: string;
  scope: 'global' | 'tensor' | 'row';
  pattern: 'unstructured' | { keep: number; of: number } | { rows: number; columns: number };
  /** Sparsity asked, 0..1; 0 is the baseline. */
  level: number;
  include: string[];
  exclude: string[];
  seed: number;
  /** How the total is dealt out to tensors; missing: every tensor the same. */
  allocation?: { kind: 'uniform' } | { kind: 'owl'; m: number; lambda: number; published: boolean } | { kind: 'table'; entries: { glob: string; sparsity: number }[] };
  /** Numbers of the method, by name. */
  parameters?: Record<string, number>;
  /** What the method is calibrated on; missing where it needs none. */
  calibration?: {
    /** Absolute path, or the split of a benchmark. */
    text: string | { benchmark: string; split: 'train' | 'valid' };
    samples: number;
    /** Null: the model's context, at most 2048. */
    length: number | null;
    seed: number;
    oneShot: boolean;
    provider: 'cpu' | 'webgpu' | 'cuda' | 'dml' | 'coreml' | 'auto';
    threads: number;
    dataFolder: string | null;
  };
  /** Benchmark id, or `text:<absolute path>`. */
  benchmark: string;
  protocol: string;
  context: number;
  stride: number;
  limit: number | null;
  provider: 'cpu' | 'webgpu' | 'cuda' | 'dml' | 'coreml' | 'auto';
  threads: number;
  dataFolder: string | null;
  /** The field of a JSON Lines file that holds the documents, where it is not `text`. */
  field?: string;
  /** Whether the predictions are compared with the dense model's, token by token. */
  divergence?: boolean;
  /** Whether the time of a window is measured against the baseline (never in a graph that masks). */
  runtime: boolean;
}

/** What `winnow cell` prints; RESULT.json holds the same and the losses lie beside it as Float32. */
export interface CellJson extends SweepCellJson { out: string; losses: string | null }

/** `findings` are sentences in Markdown: what the numbers say. */
export interface ReportJson { out: string; files: string[]; findings: string[] }

/** Verb -> what it prints. */
export interface VerbOutputs {
  inspect: InspectJson;
  stats: StatsJson;
  prune: PruneJson;
  apply: ApplyJson;
  eval: EvalOutputJson;
  sweep: SweepJson;
  compare: CompareJson;
  convert: ConvertJson;
  fetch: FetchJson;
  reproduce: ReproduceJson;
  cell: CellJson;
  report: ReportJson;
  catalog: CatalogJson;
  doctor: DoctorJson;
}
