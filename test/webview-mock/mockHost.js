// The other side of the wire, invented: a model with half-normal weights, so that every fraction has a closed form.
(() => {
  const query = new URLSearchParams(location.search);
  const POINTS = 256, MIN = 2 ** -24, MAX = 2 ** 8;
  const PATH = query.get('view') === 'sweep' ? '/runs/gpt2-xl' : '/models/gpt2-xl/model.safetensors';
  window.faults = [];
  const hash = (text) => { let x = 2166136261; for (const c of text) x = Math.imul(x ^ c.charCodeAt(0), 16777619); return ((x >>> 0) % 10000) / 10000; };
  const erf = (x) => { const t = 1 / (1 + 0.3275911 * x); return 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x); };

  // ---- model ----
  const many = query.get('model') === 'many';
  const layers = many ? 96 : 48, width = 1600;
  const parts = [['ln_1.weight', [width], 'norm', false], ['ln_1.bias', [width], 'bias', false], ['attn.c_attn.weight', [width, 3 * width], 'attention.qkv', true], ['attn.c_attn.bias', [3 * width], 'bias', false],
    ['attn.c_proj.weight', [width, width], 'attention.out', true], ['attn.c_proj.bias', [width], 'bias', false], ['ln_2.weight', [width], 'norm', false], ['ln_2.bias', [width], 'bias', false],
    ['mlp.c_fc.weight', [width, 4 * width], 'mlp.up', true], ['mlp.c_fc.bias', [4 * width], 'bias', false], ['mlp.c_proj.weight', [4 * width, width], 'mlp.down', true], ['mlp.c_proj.bias', [width], 'bias', false]];
  if (many) for (let e = 0; e < 20; e += 1) parts.push([`mlp.experts.${e}.w1.weight`, [width, 512], 'expert.up', true]);
  const tensors = [];
  const add = (name, shape, role, prunable, layer, sigma) => tensors.push({ name, shape, role, prunable, layer, n: shape.reduce((a, b) => a * b, 1), sigma: sigma * (0.94 + 0.12 * hash(name)) });
  add('wte.weight', [50257, width], 'embedding', false, null, 0.14);
  add('wpe.weight', [1024, width], 'position', false, null, 0.06);
  const base = { 'attention.qkv': (l) => 0.05 + 0.1 * Math.sqrt((l + 1) / layers), 'attention.out': (l) => 0.09 + 0.02 * Math.sin(l / 5), 'mlp.up': (l) => 0.2 - 0.08 * Math.min(1, l / 6), 'mlp.down': (l) => 0.11 + 0.01 * Math.cos(l / 3), norm: () => 0.4, bias: () => 0.2, 'expert.up': (l) => 0.07 + 0.08 * (l / layers) };
  for (let l = 0; l < layers; l += 1) for (const [n, s, role, prunable] of parts) add(`h.${l}.${n}`, s, role, prunable, l, base[role](l));
  add('ln_f.weight', [width], 'norm', false, null, 0.5);
  add('<img src=x onerror=alert(1)>', [width], 'unknown', false, null, 0.5);
  const byName = new Map(tensors.map((t) => [t.name, t]));
  const groupOf = (t) => (t.layer === null ? t.name.replace('.weight', '') : `h.${t.layer}`);
  const groups = new Map();
  for (const t of tensors) { const g = groupOf(t); if (!groups.has(g)) groups.set(g, []); groups.get(g).push(t); }
  const bytes = tensors.reduce((s, t) => s + t.n * 4, 0);

  const members = (id) => {
    if (id === 'all') return tensors;
    if (id === 'prunable') return tensors.filter((t) => t.prunable);
    if (id.startsWith('g:')) return groups.get(id.slice(2)) ?? [];
    if (id.startsWith('t:')) return [byName.get(id.slice(2))].filter(Boolean);
    const [role, layer] = id.slice(2).split('|');
    return tensors.filter((t) => t.role === role && t.layer === Number(layer));
  };
  const below = (t, x) => (x <= 0 ? 0 : erf(x / (t.sigma * Math.SQRT2)));
  const fraction = (id, x) => { const m = members(id); const n = m.reduce((s, t) => s + t.n, 0); return n === 0 ? null : m.reduce((s, t) => s + t.n * below(t, x), 0) / n; };
  const curveCache = new Map();
  const curve = (id) => {
    if (curveCache.has(id)) return curveCache.get(id);
    let text = '';
    for (let i = 0; i < POINTS; i += 1) { const v = Math.round(65535 * fraction(id, MIN * (MAX / MIN) ** (i / (POINTS - 1)))); text += String.fromCharCode(v & 255, v >> 8); }
    const c = { id, base64: btoa(text) };
    curveCache.set(id, c);
    return c;
  };
  const stats = (m) => {
    const n = m.reduce((s, t) => s + t.n, 0), s2 = m.reduce((s, t) => s + t.n * t.sigma ** 2, 0) / n, top = Math.max(...m.map((t) => t.sigma)) * 5.1;
    return { parameters: n, zeros: Math.round(n * 0.00002 * hash(m[0].name)), nan: 0, inf: 0, aboveThreshold: null, fractionAbove: null, min: -top, max: top * 0.93, mean: -0.00021, std: Math.sqrt(s2), absMax: top };
  };

  // ---- scan ----
  let scanned = 0, scanDone = false, scanTimer = null, waitingScan = null;
  const order = []; let sum = 0; for (const t of tensors) { sum += t.n * 4; order.push([t, sum]); }
  const known = (t) => scanDone || order.find(([o]) => o === t)[1] <= scanned;
  const roles = ['attention.qkv', 'attention.out', 'mlp.up', 'mlp.down', ...(many ? ['expert.up'] : [])];
  const post = (message, wait = 0) => setTimeout(() => window.postMessage(message, '*'), wait);
  const startScan = (id) => {
    if (query.get('scan') === 'fail') return post({ type: 'failure', id, failure: { code: 'file-changed-while-reading', sentence: 'model.safetensors changed while it was being read. Scan again once it is no longer written to.' } }, 300);
    if (query.get('scan') !== 'slow') { scanDone = true; return post({ type: 'result', id, result: { seconds: 1.6, bytes, cached: false } }, 60); }
    waitingScan = id;
    scanTimer = setInterval(() => {
      scanned = Math.min(bytes, scanned + bytes / 60);
      post({ type: 'event', event: 'scanProgress', payload: { path: PATH, done: scanned, total: bytes, bytesPerSecond: 4.2e9 } });
      if (scanned >= bytes) { clearInterval(scanTimer); scanDone = true; post({ type: 'result', id, result: { seconds: 6.1, bytes, cached: false } }); }
    }, 100);
  };

  const visible = (p) => {
    const list = [];
    const names = [...groups.keys()];
    if (p.sort === 'name') names.sort();
    if (p.sort === 'parameters') names.sort((a, b) => groups.get(b).reduce((s, t) => s + t.n, 0) - groups.get(a).reduce((s, t) => s + t.n, 0));
    for (const g of names) {
      const m = groups.get(g).filter((t) => t.name.includes(p.filter));
      if (m.length === 0) continue;
      const leaf = false;
      const open = !leaf && (p.expanded.includes(`g:${g}`) || p.filter !== '');
      const row = (t, depth, label) => ({ id: `t:${t.name}`, label, depth, kind: 'tensor', children: 0, expanded: false, parameters: t.n, bytes: t.n * 4, prunable: t.prunable, dtype: 'F32', shape: t.shape, role: t.role, layer: t.layer, stats: known(t) ? stats([t]) : null, parts: [] });
      if (leaf) { list.push(row(m[0], 0, m[0].name)); continue; }
      const all = groups.get(g);
      const n = all.reduce((s, t) => s + t.n, 0);
      list.push({ id: `g:${g}`, label: g, depth: 0, kind: 'group', children: all.length, expanded: open, parameters: n, bytes: n * 4, prunable: all.some((t) => t.prunable), dtype: 'F32', shape: null, role: null, layer: all[0].layer, stats: all.every(known) ? stats(all) : null, parts: all.slice(0, 16).map((t) => `t:${t.name}`), partParameters: all.slice(0, 16).map((t) => t.n) });
      if (open) for (const t of m) list.push(row(t, 1, t.name.slice(g.length + 1)));
    }
    return list;
  };
  const thresholdFor = (s) => { let a = 0, b = 4; for (let i = 0; i < 50; i += 1) { const m = (a + b) / 2; if (fraction('prunable', m) < s) a = m; else b = m; } return b; };

  const answers = {
    inspect: () => ({
      name: many ? 'mixtral-many' : 'gpt2-xl', path: PATH, format: 'safetensors', files: [{ path: PATH, bytes }], bytes, parameters: tensors.reduce((s, t) => s + t.n, 0), prunableParameters: members('prunable').reduce((s, t) => s + t.n, 0),
      storedElements: bytes / 4, tensorCount: tensors.length, dtypes: { F32: bytes / 4 }, architecture: 'gpt2', architectureTitle: 'GPT-2',
      problems: [{ code: 'buffers-stored', where: { file: PATH }, detail: '', sentence: 'Causal-mask buffers are stored (25.2 M elements). They are not parameters and are left as they are.' }, { code: 'unknown-tensor', where: { tensor: '<img src=x onerror=alert(1)>' }, detail: '', sentence: 'One tensor is not known to GPT-2; it is left as it is.' }],
      heat: { roles, layers: Array.from({ length: layers }, (_, i) => i), cells: roles.flatMap((role) => Array.from({ length: layers }, (_, layer) => { const m = members(`c:${role}|${layer}`); return { role, layer, parameters: m.reduce((s, t) => s + t.n, 0), tensors: m.length }; })) },
      fingerprint: 'f1', scanned: false,
    }),
    rows: (p) => { const list = visible(p); return { total: list.length, rows: list.slice(p.from, p.to) }; },
    curves: (p) => ({ curves: p.ids.filter((id) => members(id).length > 0 && members(id).every(known)).map(curve) }),
    histogram: (p) => {
      const m = members(p.id);
      if (m.length === 0 || !m.every(known)) throw { code: 'not-scanned', sentence: 'Not scanned yet.' };
      const edges = Array.from({ length: p.bars + 1 }, (_, i) => 1e-7 * (10 / 1e-7) ** (i / p.bars));
      const top = stats(m).absMax;
      const counts = edges.slice(1).map((e, i) => Math.round(m.reduce((s, t) => s + t.n * (below(t, Math.min(e, top)) - below(t, Math.min(edges[i], top))), 0) * (0.97 + 0.06 * hash(p.id + i))));
      return { id: p.id, title: p.id === 'prunable' ? 'Prunable weights' : m.length === 1 ? m[0].name : p.id.slice(2), shape: m.length === 1 ? m[0].shape : null, dtype: 'F32', edges, counts, stats: stats(m), extra: { deadRows: m.length === 1 && m[0].shape.length > 1 ? 0 : null, rows: m.length === 1 ? m[0].shape[1] ?? null : null, twoFourReady: m.length === 1 ? 0.004 : null } };
    },
    cut: (p) => { const threshold = p.threshold ?? thresholdFor(p.sparsity); const sparsity = fraction('prunable', threshold); const n = members('prunable').reduce((s, t) => s + t.n, 0); return { threshold, sparsity, selected: Math.round(n * sparsity), scopeParameters: n, exact: true, nodes: p.ids.map((id) => ({ id, fraction: fraction(id, threshold) })) }; },
    locate: (p) => { const t = members(p.id)[0]; const g = `g:${groupOf(t)}`; const index = visible({ ...p, expanded: g ? [...p.expanded, g] : p.expanded }).findIndex((r) => r.id === `t:${t.name}`); return { id: `t:${t.name}`, group: g, index: index < 0 ? null : index }; },
    jobs: () => ({ jobs: query.get('view') === 'sweep' && query.get('job') !== 'none' ? [sweepJob()] : [] }),
    sweepResult: () => sweep(),
    prune: () => ({ started: true }), sweep: () => ({ started: true }), cancelJob: () => sweepJob(), dismissJob: () => ({}), openPath: () => ({}), openReport: () => ({}), exportCsv: () => ({}),
    restartServer: () => { post({ type: 'server', state: 'running', detail: '' }, 300); return {}; },
    settings: () => ({ path: '', levels: [0.1, 0.5, 0.9, 0.95, 0.99] }),
  };

  // ---- sweep ----
  const sweepJob = () => ({ id: 'j1', kind: 'sweep', title: 'Sweep gpt2-xl', checkpoint: '/models/gpt2-xl', args: ['sweep', '/models/gpt2-xl', '--levels', '0.1,0.5,0.9,0.95,0.99', '--benchmarks', 'wikitext-2-raw', '--out', PATH], pid: 1, state: query.get('job') === 'done' ? 'done' : 'running', startedMs: Date.now() - 95000, endedMs: null, progress: { stage: 'magnitude 95 %', done: 4, total: 6, unit: 'cells' }, out: PATH, message: null });
  const sweep = () => {
    const methods = query.get('methods') === 'many' ? ['magnitude', 'wanda', 'sparsegpt'] : ['magnitude'];
    const values = { magnitude: [31.2, 31.24, 38.71, 4120, 12400, 81300], wanda: [31.2, 31.22, 35.02, 1490, 5220, 'NaN'], sparsegpt: [31.2, 31.21, 33.9, 402, null, null] };
    const dense = 6.43e9;
    const cells = [];
    [0, 0.1, 0.5, 0.9, 0.95, 0.99].forEach((level, i) => methods.forEach((method) => {
      if (level === 0 && method !== 'magnitude') return;
      const value = values[method][i];
      if (value === null) return;
      const ratio = typeof value === 'number' ? value / 31.2 : null;
      cells.push({ level, method: level === 0 ? 'none' : method, scope: method === 'wanda' ? 'row' : 'global', pattern: 'unstructured', benchmark: 'wikitext-2-raw', protocol: 'hf-stride', achieved: level, achievedTotal: level * 0.945, threshold: level === 0 ? null : 0.02 * i, value, meanLoss: 3.4,
        standardError: typeof value === 'number' ? value * 0.014 * (i > 3 ? 2 : 1) : null, standardErrorIid: 0.2, ratioToBaseline: level === 0 || ratio === null ? null : { value: ratio, low: ratio * (1 - 0.0035 * (i > 1 ? 3 : 1)), high: ratio * (1 + 0.0032 * (i > 1 ? 3 : 1)) }, verdict: level === 0 || ratio === null ? null : ratio < 1.005 ? 'no difference' : 'worse',
        bytes: { dense, deflate: dense * (0.92 - 0.68 * level), bitmask: dense * (1.03 - level * 0.945), csr: dense * (1.95 - 1.8 * level) },
        runtime: { medianMs: 412, baselineMedianMs: 411, ratio: { value: 1 + 0.004 * Math.sin(i * 9 + method.length), low: 0.993 + 0.004 * Math.sin(i * 9 + method.length), high: 1.008 + 0.004 * Math.sin(i * 9 + method.length) }, verdict: 'no difference', pairs: 24, context: 1024, threads: 2, provider: 'cpu' },
        seconds: 60, problem: value === 'NaN' ? { code: 'loss-not-finite', where: {}, detail: 'NaN in window 3' } : null });
    }));
    return { checkpoint: '/models/gpt2-xl', out: PATH, setup: { architecture: 'gpt2', parameters: 1557611200, prunableParameters: 1474560000, weightDtype: 'F32', computeDtype: 'F32', provider: 'cpu', context: 1024, stride: 512, limit: null, tokens: 287644, scoredTokens: 287643, windows: 561, textSha256: 'ab12cd34ef56'.repeat(5), tokenizer: 'gpt2', margin: 0.005, seed: 0, threads: 2, winnow: '0.1.0', started: '2026-11-30T20:00:00Z' }, texts: [], cells: query.get('cells') === 'none' ? [] : cells, findings: query.get('cells') === 'none' ? [] : [{ benchmark: 'wikitext-2-raw', text: 'Up to **47.3 %** of the weights in scope can go within +5 % perplexity (magnitude, global, wikitext-2-raw): interpolated between the measured 10.0 % and 50.0 %.' }, { benchmark: null, text: 'A dense file does not shrink by zeros. Smaller than dense: deflate is smaller at every level, a bitmask from 8.1 % on, CSR from 56.0 % on (magnitude, global).' }, { benchmark: null, text: 'Zeros do not make dense kernels faster: at every level the 95 % interval of the time lies within ± 5 % of the dense model\'s.' }] };
  };

  window.mock = { post, calls: [] };
  window.acquireVsCodeApi = () => ({
    getState: () => JSON.parse(sessionStorage.getItem('state') ?? 'null'),
    setState: (state) => sessionStorage.setItem('state', JSON.stringify(state)),
    postMessage: (message) => {
      if (message.type === 'hello') { post({ type: 'welcome', version: 1, view: query.get('view') ?? 'inspector', path: PATH }); if (query.get('state') === 'stopped') post({ type: 'server', state: 'stopped', detail: 'ended by SIGKILL' }, 400); return; }
      if (message.type === 'fault') { window.faults.push(message.message); console.warn(`fault ${message.message}`); return; }
      if (message.type === 'cancel') { if (message.id === waitingScan) clearInterval(scanTimer); return; }
      window.mock.calls.push(message.method);
      if (message.method === 'scan') { startScan(message.id); return; }
      try { post({ type: 'result', id: message.id, result: answers[message.method](message.params) }, 3); } catch (failure) { if (failure.code) post({ type: 'failure', id: message.id, failure }); else throw failure; }
    },
  });
})();
