import type { ErrorCode, Place, Problem } from '../core/errors';
import { printable } from './progressBar';

type Sentence = (place: Place, detail: string) => string;

const file = (place: Place): string => place.file ?? 'the file';
const tensor = (place: Place): string => place.tensor === undefined ? 'a tensor' : `tensor ${place.tensor}`;
const key = (place: Place): string => place.key === undefined ? 'a key' : `\`${place.key}\``;
const inFile = (place: Place): string => place.file === undefined ? '' : ` in ${place.file}`;
/** ` (detail)`, or nothing. */
const aside = (detail: string): string => detail === '' ? '' : ` (${detail})`;
/** `: detail`, or nothing. */
const colon = (detail: string): string => detail === '' ? '' : `: ${detail}`;

const AGAIN = 'Download or copy the file again.';
const HEADER_BROKEN = 'The file was made by a faulty tool, or was damaged on the way. Download it again or save it again.';

/** The key and what is wrong with it, to follow a colon; the key only once where the detail names it too. */
function keyAnd(key: string | undefined, detail: string): string {
  const said = key === undefined || detail.split(/[\s`;:,?]+/).includes(key) ? detail : `${key} ${detail}`.trim();
  return said === '' ? '.' : `: ${said}${/[.?!]$/.test(said) ? '' : '.'}`;
}
/** A detail that already says what to do. */
const TELLS_HOW = /; (convert|load|name|open|save|unpack) /;
/** ` as \`word\``, the one that was asked for, or nothing. */
const asked = (place: Place): string => place.key === undefined ? '' : ` as \`${place.key}\``;

/**
 * One sentence or two per code: what happened, and what to do next. The compiler refuses a code without one.
 */
export const sentences: Record<ErrorCode, Sentence> = {
  // reaching the file
  'not-found': (p, d) => `${file(p)} does not exist${aside(d)}. Check the path.`,
  'not-readable': (p, d) => `${file(p)} cannot be read${aside(d)}. Check its permissions and that the disk is there.`,
  'is-empty': (p, d) => `${file(p)} is empty (${d || '0 bytes'}): a download or copy failed. ${AGAIN}`,
  'no-model-in-folder': (p, d) => `${file(p)} holds no checkpoint${aside(d)}. Name a weight file (\`winnow catalog\` lists the formats), an index, or a folder that holds one.`,
  'several-models-in-folder': (p, d) => `${file(p)} holds several checkpoints${aside(d)}. Name one of them.`,
  'file-changed-while-reading': (p, d) => `${file(p)} changed while it was being read${aside(d)}. Wait until whatever writes it has finished, then start again.`,
  'short-read': (p, d) => `${file(p)} ended too early while being read${aside(d)}: it was cut short meanwhile, or the disk failed. Check the file and start again.`,
  // what the file really is
  'git-lfs-pointer': (p, d) => `${file(p)} is a Git LFS pointer, not the weights${aside(d)}. Fetch the weights with \`git lfs pull\`.`,
  'html-page': (p, d) => `${file(p)} is an HTML page, not a checkpoint${aside(d)}: probably a login or error page saved under the model's name. Download it again, signed in.`,
  'unknown-format': (p, d) => `${file(p)} is in no format that Winnow knows${aside(d)}. \`winnow catalog\` lists the formats.`,
  'unsupported-format': (p, d) => `${file(p)} is in a format that this version does not read${aside(d)}.${TELLS_HOW.test(d) ? '' : ' Convert it to safetensors first.'}`,
  'wrong-content': (p, d) => `${file(p)} is not what its name says${aside(d)}. Give it the right extension, or download it again.`,
  'bad-encoding': (p, d) => `The data of ${tensor(p)}${inFile(p)} cannot be decoded${aside(d)}. ${AGAIN}`,
  'zip-broken': (p, d) => `The zip archive ${file(p)} is damaged${aside(d)}. ${AGAIN}`,
  'pickle-broken': (p, d) => `The pickle in ${file(p)} cannot be read${aside(d)}. ${AGAIN}`,
  'pickle-blocked': (p, d) => `${file(p)} asks to run code when it is loaded${colon(d)}; Winnow runs nothing. Do not load this file in Python; get the weights from a source that you trust, best as safetensors.`,
  'torchscript': (p, d) => `${file(p)} is a TorchScript archive, a program with its weights${aside(d)}. Load it with torch.jit.load, save its state_dict with torch.save, and open that file.`,
  'no-tensors': (p, d) => `${file(p)} holds no tensors${aside(d)}. Check that it is the file with the weights.`,
  'storage-missing': (p, d) => `The data of ${tensor(p)} are missing in ${file(p)}${aside(d)}. ${AGAIN}`,
  'storage-too-short': (p, d) => `The data of ${tensor(p)}${inFile(p)} are incomplete${colon(d)}. ${AGAIN}`,
  'bad-view': (p, d) => `The layout of ${tensor(p)}${inFile(p)} is not possible${aside(d)}. The file is damaged; save it again or download it again.`,
  'opaque-entries': (p, d) => `${file(p)} holds entries that are no plain weights of the model${colon(d)}. They are shown, not counted, and not written to a pruned copy.`,
  'mask-folded': (p, d) => `Weights${inFile(p)} are stored with the masks of torch.nn.utils.prune${colon(d)}. They are shown with the mask applied, under the name that the model uses.`,
  'prefix-removed': (p, d) => `Names${inFile(p)} carry what a wrapper put into them${colon(d)}. Tensors are shown, evaluated and written under the names of the model itself.`,
  'other-format-written': (p, d) => `The copy of ${file(p)} is written as safetensors${colon(d)}.`,
  'file-damaged': (p, d) => `${file(p)} is damaged, or not what its name says${aside(d)}. ${AGAIN}`,
  'data-file-outside': (p, d) => `${tensor(p)}${inFile(p)} names a data file outside the model's folder${aside(d)}; Winnow does not follow it. Check where the model comes from.`,
  'data-file-missing': (p, d) => `A data file of ${file(p)} is missing${colon(d)}. Copy it into the same folder.`,
  // safetensors
  'header-too-short': (p, d) => `${file(p)} is too short to hold the 8-byte length of a safetensors header${aside(d)}. ${AGAIN}`,
  'header-cut-short': (p, d) => `The header of ${file(p)} is cut short${aside(d)}: the download stopped inside it. ${AGAIN}`,
  'header-longer-than-file': (p, d) => `The header of ${file(p)} claims to be longer than the file${aside(d)}. It is cut short, or no safetensors file. ${AGAIN}`,
  'header-too-large': (p, d) => `The header of ${file(p)} is larger than any header may be${aside(d)}. It is probably no safetensors file. Check what it is.`,
  'header-not-json': (p, d) => `The header of ${file(p)} is not JSON${aside(d)}. ${HEADER_BROKEN}`,
  'header-not-object': (p, d) => `The header of ${file(p)} is not a JSON object${aside(d)}. ${HEADER_BROKEN}`,
  'duplicate-tensor': (p, d) => `The header${inFile(p)} names ${tensor(p)} twice${aside(d)}, so it is not clear which is meant. Save the checkpoint again.`,
  'bad-tensor-entry': (p, d) => `The header entry of ${tensor(p)}${inFile(p)} is malformed${aside(d)}. ${HEADER_BROKEN}`,
  'bad-shape': (p, d) => `The shape of ${tensor(p)}${inFile(p)} is not possible${aside(d)}. ${HEADER_BROKEN}`,
  'unknown-dtype': (p, d) => `The dtype of ${tensor(p)}${inFile(p)} is not known${aside(d)}. Update Winnow, or convert the checkpoint.`,
  'offset-reversed': (p, d) => `The data of ${tensor(p)}${inFile(p)} ends before it begins${aside(d)}. ${HEADER_BROKEN}`,
  'offset-out-of-range': (p, d) => `The data of ${tensor(p)} lies outside ${file(p)}${aside(d)}. ${AGAIN}`,
  'size-mismatch': (p, d) => `The size of ${tensor(p)}${inFile(p)} is not its shape times its dtype${aside(d)}. ${HEADER_BROKEN}`,
  'overlap': (p, d) => `The data of ${tensor(p)}${inFile(p)} overlaps another tensor${aside(d)}. ${HEADER_BROKEN}`,
  'gap': (p, d) => `There are bytes between the tensors of ${file(p)} that belong to none${aside(d)}. Save the checkpoint again with a safetensors library.`,
  'trailing-bytes': (p, d) => `${file(p)} goes on after its last tensor${aside(d)}. Save it again, or download it again.`,
  'file-cut-short': (p, d) => `${file(p)} is incomplete${colon(d)}. The download stopped part-way; resume it or download again.`,
  'metadata-not-text': (p, d) => `The \`__metadata__\` of ${file(p)} must map text to text${aside(d)}. Save the checkpoint again with text values.`,
  'metadata-broken': (p, d) => `The metadata of ${file(p)} are not valid${aside(d)}. The file is damaged or made by a faulty tool; download it again or convert the model anew.`,
  'header-space-first': (p, d) => `The header of ${file(p)} does not begin with \`{\`${aside(d)}. ${HEADER_BROKEN}`,
  // shards
  'index-not-json': (p, d) => `The index ${file(p)} is not JSON${aside(d)}. Download it again.`,
  'index-bad-map': (p, d) => `The \`weight_map\` of the index ${file(p)} does not map tensor names to file names${aside(d)}. Download the index again.`,
  'shard-missing': (p, d) => `A shard is missing${inFile(p)}${colon(d)}. Download the missing files into the same folder.`,
  'shard-outside-folder': (p, d) => `The index ${file(p)} names a file outside its folder${aside(d)}; Winnow does not follow it. Check where the index comes from.`,
  'tensor-missing-in-shard': (p, d) => `The index says ${tensor(p)} is in ${file(p)}, but it is not${aside(d)}. Index and shards are of different versions: download them together.`,
  'stray-copy': (p, d) => `${tensor(p)} is also in ${file(p)}, which the index does not use for it${aside(d)}. The copy is ignored; delete it if it is left over.`,
  'stray-file': (p, d) => `${file(p)} lies beside the shards but the index does not name it${aside(d)}. It is ignored; delete it if it is left over.`,
  'index-total-wrong': (p, d) => `The \`total_size\` in the index ${file(p)} is not the sum of the tensors${aside(d)}. Winnow goes by the tensors.`,
  'too-many-shards': (p, d) => `${file(p)} names more shards than Winnow opens${aside(d)}. Check the index.`,
  // models
  'no-config': (p, d) => `There is no config.json${p.file === undefined ? '' : ` beside ${p.file}`}${aside(d)}. Put the model's config.json into the same folder.`,
  'config-not-json': (p, d) => `${file(p)} is not a JSON object${aside(d)}. Download the model's config.json again.`,
  'unknown-architecture': (p, d) => d.endsWith('has no evaluation graph') ? `${file(p)} is of a family that Winnow cannot evaluate${aside(d)}. \`winnow catalog\` lists those that it can; inspecting and pruning work.`
    : `The architecture is not known${aside(d)}; roles are guessed from the tensor names${inFile(p)}. Check what is marked prunable before pruning.`,
  'unsupported-config': (p, d) => `The model's config${inFile(p)} asks for something this version cannot compute${colon([p.key, d].filter(Boolean).join(' '))}. Inspecting and pruning work; evaluating does not.`,
  'tensor-missing': (p, d) => `${tensor(p)} is missing${inFile(p)}${aside(d)}. The checkpoint and its config.json do not belong together, or a part is not downloaded.`,
  'head-missing': (p, d) => `The masked-LM head is not in ${file(p)}${aside(d)}. A head made up would give a random number, so nothing is scored: use the checkpoint as it was pre-trained, with its head. Inspecting and pruning work without it.`,
  'tensor-shape-differs': (p, d) => `The shape of ${tensor(p)}${inFile(p)} is not what config.json says${aside(d)}. Check that both are of the same model.`,
  'tied-differ': (p, d) => `The config ties ${tensor(p)} to another tensor, but their stored values differ${aside(d)}. They are treated as two; check how the checkpoint was saved.`,
  'buffer-stored': (p, d) => `Buffers are stored among the weights${p.tensor === undefined ? '' : `, e.g. ${p.tensor}`}${aside(d)}. They are not counted as parameters and are never pruned.`,
  // pruning and writing
  'bad-sparsity': (_, d) => `The sparsity must be a number from 0 to 1${aside(d)}. 0.5 prunes half of the weights in scope.`,
  'unknown-method': (p, d) => `There is no such pruning method${asked(p)}${d.startsWith('methods: ') ? `, only ${d.slice('methods: '.length)}` : colon(d)}. \`winnow catalog\` lists them.`,
  'unsupported-structure': (p, d) => `Whole parts cannot be taken out of ${file(p)}${aside(d)}. Methods that zero single weights work: \`winnow catalog\` lists them.`,
  'own-config-key': (p, d) => `The smaller copy of ${file(p)} evaluates in Winnow only${aside(d)}. Methods that keep the shapes load everywhere: \`winnow catalog\` lists them.`,
  'unsupported-scope': (_, d) => `The method does not work in this scope${colon(d)}. \`winnow catalog\` says which scopes it has.`,
  'unsupported-pattern': (_, d) => `The pattern is not possible here${colon(d)}. Use \`unstructured\`, or N:M such as 2:4 with a method that has it.`,
  'nothing-in-scope': (p, d) => `No tensor${inFile(p)} is in scope, so there is nothing to prune${aside(d)}. Name tensors with --include, or check --exclude.`,
  'already-sparser': (p, d) => `The weights${p.tensor === undefined ? '' : ` of ${tensor(p)}`}${inFile(p)} are already sparser than asked${aside(d)}. Ask for a higher sparsity to change anything.`,
  'unsupported-allocation': (p, d) => `That allocation${p.key ? `, ${key(p)},` : ''} is not possible here${colon(d)}.`,
  'bad-allocation': (_, d) => `The allocation does not add up${colon(d)}. Change the table or the sparsity.`,
  'bad-parameter': (p, d) => `${key(p)} is not possible${colon(d)}.`,
  'allocation-total': (_, d) => `The allocation gives another total than asked${aside(d)}.`,
  'ragged-blocks': (p, d) => `The sides of ${tensor(p)} do not divide into whole blocks${aside(d)}; each of those counts as one block.`,
  'ragged-groups': (p, d) => `The rows of ${tensor(p)} do not divide into whole groups${aside(d)}. The rest of each row is left as it is.`,
  'nan-in-scope': (p, d) => `${p.tensor === undefined ? 'the scope' : tensor(p)}${inFile(p)} holds NaN${aside(d)}. NaN is never pruned; check how the checkpoint was made.`,
  'infinite-in-scope': (p, d) => `${tensor(p)}${inFile(p)} holds infinite values${aside(d)}. It is left as it is; check how the checkpoint was made.`,
  'target-exists': (p, d) => `${file(p)} already exists${aside(d)}. Choose another --out, or replace it with --force.`,
  'target-is-source': (p, d) => `${file(p)} is the checkpoint itself${aside(d)}; Winnow never writes over its source. Choose another --out.`,
  'target-inside-source': (p, d) => `${file(p)} lies inside the checkpoint's own folder${aside(d)}. Choose an --out outside of it.`,
  'target-not-writable': (p, d) => `${file(p)} cannot be written${aside(d)}. Check the folder's permissions, or choose another --out.`,
  'disk-full': (p, d) => `There is not enough free space${p.file === undefined ? '' : ` for ${p.file}`}${aside(d)}. Free some space, or choose an --out on another disk.`,
  'unsupported-dtype': (p, d) => `The dtype of ${tensor(p)}${inFile(p)} cannot be used for this${aside(d)}. Leave the tensor out with --exclude${TELLS_HOW.test(d) ? '' : ', or convert the checkpoint'}.`,
  'no-match': (_, d) => `A pattern matches no tensor${aside(d)}. \`winnow inspect --json\` lists the names.`,
  'became-infinite': (p, d) => `Values of ${tensor(p)}${inFile(p)} are too large for the new dtype and became infinite${aside(d)}. Use BF16 or F32, which reach further than F16.`,
  'calibration-is-evaluated': (p, d) => `${file(p)} is a text that is evaluated${aside(d)}; a model calibrated on it would look better than it is. Calibrate on another text, e.g. --calibration train.`,
  'calibration-impossible': (p, d) => `${file(p)} cannot be calibrated${colon(d)}. Choose a method that needs no calibration; \`winnow catalog\` says which.`,
  'calibration-needed': (_, d) => `The method has to see what the matrices are fed${aside(d)}. Name a text with --calibration.`,
  'inputs-unknown': (p, d) => `Calibration did not see what ${tensor(p)}${inFile(p)} is fed${aside(d)}. It is left as it is; exclude it to be rid of this remark.`,
  'hessian-damped': (p, d) => `The second moments of the inputs of ${tensor(p)}${inFile(p)} are not positive definite and were damped more than asked${aside(d)}. Calibrate with more samples, or ask for more damping.`,
  'hessian-indefinite': (p, d) => `The second moments of the inputs of ${tensor(p)}${inFile(p)} cannot be made positive definite${aside(d)}. The tensor is left as it is; calibrate with more samples, or exclude it.`,
  'bad-manifest': (p, d) => `${file(p)} cannot be used as a manifest${colon(d)}. Give the ${'`winnow-manifest.json`'} that a pruning wrote beside its output.`,
  'not-masks': (p, d) => `${file(p)} holds no masks${p.tensor === undefined ? '' : ` for ${tensor(p)}`}${aside(d)}. Give the file that prune --masks wrote.`,
  'not-two-four': (p, d) => `${tensor(p)}${inFile(p)} is not 2:4 along the axis that the packed layout groups${colon(d)}. GPT-2 and others that store inputs first cannot be packed so, and others need --pattern 2:4: use --format bitmask.`,
  'packed-layout': (p, d) => `${file(p)} is stored in the layout of compressed-tensors${colon(d)}. Its versions up to 0.14 unpack it, later ones do not, nor does a transformers that asks for those; convert it to safetensors for the dense checkpoint.`,
  'stored-dense': (p, d) => `${tensor(p)}${inFile(p)} is stored dense${colon(d)}.`,
  'source-differs': (p, d) => `${file(p)} is not what the manifest was written of${aside(d)}. Name the original checkpoint after --from-manifest, or put the calibration text back.`,
  // evaluation
  'no-tokenizer': (p, d) => `There is no tokenizer${p.file === undefined ? '' : ` in ${p.file}`}${aside(d)}. Put the model's tokenizer.json into the same folder.`,
  'tokenizer-broken': (p, d) => `The tokenizer ${file(p)} cannot be used${aside(d)}. ${/\.gguf$/i.test(p.file ?? '') ? 'Convert the checkpoint to safetensors and put the model\'s tokenizer.json into that folder.' : 'Download the model\'s tokenizer.json again.'}`,
  'token-out-of-range': (p, d) => `The tokenizer yields an id that the model has no embedding for${inFile(p)}${aside(d)}. Tokenizer and weights are of different models.`,
  'tokens-without-rows': (p, d) => `The tokenizer of ${file(p)} has tokens without an embedding row${aside(d)}. A text that uses one cannot be evaluated.`,
  'json-lines-broken': (p, d) => `${file(p)}, line ${p.line ?? '?'}, is not what was asked for${aside(d)}. docs/benchmarks.md says what a line holds.`,
  'text-not-utf8': (p, d) => `${file(p)} is not UTF-8 text${aside(d)}. Convert it to UTF-8.`,
  'byte-order-mark': (p, d) => `${file(p)} begins with a byte order mark${aside(d)}, which is not part of the text. Save it as UTF-8 without one to silence this.`,
  'too-few-tokens': (p, d) => `The text${inFile(p)} is too short${aside(d)}. Use a longer text, or shorter windows (--context, or --calibration-length).`,
  'unknown-benchmark': (p, d) => `There is no such benchmark${asked(p)}${colon(d)}. \`winnow catalog\` lists them; any text file works with --text.`,
  'unknown-protocol': (p, d) => `There is no such protocol${asked(p)}${colon(d)}. \`winnow catalog\` lists them.`,
  'benchmark-not-found': (p, d) => `The text of the benchmark is not on this machine${colon([p.file, d].filter(Boolean).join(' '))}. Say where with --data FOLDER or WINNOW_DATA, let \`winnow fetch\` download it, or use --text FILE.`,
  'download-failed': (p, d) => `The download${p.key === undefined ? '' : ` of ${p.key}`} did not work${aside(d)}. Check the network (HF_ENDPOINT, HF_TOKEN and HTTPS_PROXY are honoured), or put the file into the data folder by hand: docs/benchmarks.md names it.`,
  'checksum-differs': (p, d) => `What came from ${p.key ?? 'the network'} is not the published file${aside(d)}, and was thrown away. Try again, or put the file into the data folder by hand.`,
  'benchmark-text-differs': (p, d) => `${file(p)} is not the published text of the benchmark${aside(d)}. Download it again, or name it with --text if another text is meant.`,
  'models-not-comparable': (_, d) => `The two models cannot be compared token by token${colon(d)}. Compare a checkpoint with the one that it was made from.`,
  'metric-makes-no-sense': (_, d) => `This number would mean nothing for this model${colon(d)}. Choose a protocol of the model's own kind; \`winnow catalog\` lists them.`,
  'context-too-long': (_, d) => `The window is longer than the model allows${aside(d)}. Use a smaller --context, or --calibration-length.`,
  'bad-window': (_, d) => `Context and stride do not fit together${aside(d)}. The stride must be from 1 to the context.`,
  'not-finite': (p, d) => `The loss is not a number${inFile(p)}${aside(d)}: the model has diverged, or its weights hold NaN. \`winnow stats\` counts NaN and infinity.`,
  'out-of-memory': (p, d) => `The model does not fit into free memory${inFile(p)}${aside(d)}. Close other programs, use a smaller --context, or a machine with more memory.`,
  'unknown-provider': (_, d) => `There is no such execution provider${colon(d)}. Use cpu, webgpu, cuda, dml, coreml or auto.`,
  'provider-unavailable': (_, d) => `The execution provider does not work on this machine${colon(d)}. \`winnow doctor\` says what is missing; --provider cpu always works.`,
  'provider-fallback': (_, d) => `Computed by the execution provider that works here${colon(d)}. \`winnow doctor\` says what the others need.`,
  'runtime-failed': (p, d) => `ONNX Runtime failed${inFile(p)}${colon(d)}. Try --provider cpu; if that fails too, it is a bug of Winnow.`,
  // sweeps, recipes, jobs
  'recipe-invalid': (p, d) => `The recipe ${file(p)}${p.line === undefined ? '' : `, line ${p.line}`} is not valid${keyAnd(p.key, d)} Correct it and start again.`,
  'sweep-differs': (p, d) => `${file(p)} holds a sweep with a different setup${aside(d)}, and its numbers must not be mixed. Choose another --out, or start it afresh with --force.`,
  'store-broken': (p, d) => `A result in ${file(p)} cannot be read${aside(d)}. Delete that file; the next run makes it again.`,
  'bad-specification': (p, d) => `${file(p)} is no cell specification${keyAnd(p.key, d)} \`server/protocol/schemas.json\` describes it.`,
  'not-a-sweep': (p, d) => `${file(p)} holds no finished sweep${aside(d)}. Give the folder that \`winnow sweep\` wrote.`,
  // processes
  'child-died': (_, d) => `A helper process died${colon(d)}. The file may have been cut short while it was mapped (try --io pread), or memory ran out.`,
  'server-stopped': (_, d) => `The server stopped before it answered${aside(d)}. It starts again by itself; try again.`,
  'cancelled': (_, d) => `Cancelled${aside(d)}. Nothing half-written was left behind; what was finished stays.`,
  'usage': (p, d) => `${d === '' ? `Wrong usage of ${key(p)}` : d[0].toUpperCase() + d.slice(1)}${/[.?!]$/.test(d) ? '' : '.'} See \`winnow --help\`.`,
  'internal': (_, d) => `Something went wrong inside Winnow${colon(d)}. Run again with --verbose and report what it prints.`,
};

/** Longest path that is told whole: more than any that a person reads. */
const MAX_PATH = 500;

/** A path of thousands of characters with its middle left out: where it begins and what it names stay. */
const shortened = (place: Place): Place =>
  place.file === undefined || place.file.length <= MAX_PATH ? place : { ...place, file: `${place.file.slice(0, MAX_PATH / 2)}[...]${place.file.slice(-MAX_PATH / 2)}` };

/** The sentence for a person, safe to print: names out of files can neither move the cursor nor break the line. */
export function sentenceOf(problem: Problem): string {
  const place = shortened(problem.where);
  const text = printable(sentences[problem.code](place, problem.detail));
  // A path keeps its own first letter; everything else begins like a sentence.
  const { file: path } = place;
  return path !== undefined && text.startsWith(printable(path)) ? text : text[0].toUpperCase() + text.slice(1);
}
