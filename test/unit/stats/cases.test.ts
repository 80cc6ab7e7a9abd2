import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { meanOf, stdOf } from '../../../server/core/stats/moments';
import { scanModel } from '../../../server/core/stats/scan';
import { rollUp } from '../../../server/core/stats/summarise';
import { makePool } from '../../../server/core/workers/pool';
import { scratchFolder } from '../workers/support';

/** Where a copy of the material lost its symbolic links (they became small text files), the link is made again elsewhere. */
function linked(file: string): string {
  const stat = statSync(file);
  const text = stat.isFile() && stat.size < 300 ? readFileSync(file, 'latin1') : '';
  if (!text.startsWith('../')) return file;
  const link = path.join(scratchFolder(), path.basename(file));
  symlinkSync(path.resolve(path.dirname(file), text.trim()), link);
  return link;
}

const cases = path.resolve(__dirname, '../../../../shared/cases');

interface TensorFact { zeros: number; nans: number; infs: number; params: number }
interface Case { id: string; file: string | null; expect: string; alt: string | null; facts: { zero_count?: number; nan_count?: number; inf_count?: number; param_count?: number; tensors?: Record<string, TensorFact> } }

if (!existsSync(path.join(cases, 'manifest.json'))) {
  console.log('SKIPPED: ../shared/cases is not there: the statistics of the hard files are not checked');
} else {
  const pool = makePool({ threads: 2 });
  after(() => pool.close());
  const { cases: all } = JSON.parse(readFileSync(path.join(cases, 'manifest.json'), 'utf8')) as { cases: Case[] };
  const withCounts = all.filter((one) => /^(st|prune)-/.test(one.id) && one.expect === 'ok' && one.file && one.facts.zero_count !== undefined);

  test('there are cases to check', () => assert.ok(withCounts.length > 15, String(withCounts.length)));

  for (const { id, file, facts } of withCounts) {
    test(`${id}: zeros, NaN and infinities are those of the manifest`, async () => {
      const model = openModel(linked(path.join(cases, file as string)));
      const scans = await runJob(scanModel(model, { threshold: 0, io: 'pread' }, pool));
      const { moments, above } = rollUp(scans.values());
      assert.equal(moments.zeros, facts.zero_count);
      if (facts.nan_count !== undefined) assert.equal(moments.nan, facts.nan_count);
      if (facts.inf_count !== undefined) assert.equal(moments.inf, facts.inf_count);
      if (facts.param_count !== undefined) assert.equal(moments.elements, facts.param_count);
      assert.equal(above, moments.elements - moments.nan - moments.zeros, 'above 0 is what is neither zero nor NaN');
      // The manifest shortens some names, so tensors are compared as a set of counts.
      const counts = [...scans.values()].map(({ moments: m }) => [m.elements, m.zeros, m.nan, m.inf].join(' ')).sort();
      if (facts.tensors) assert.deepEqual(counts, Object.values(facts.tensors).map((fact) => [fact.params, fact.zeros, fact.nans, fact.infs].join(' ')).sort());
      for (const { name, moments: m } of scans.values()) if (m.elements > m.nan + m.inf) assert.ok(Number.isFinite(meanOf(m)) && Number.isFinite(stdOf(m)), name);
    });
  }

  test('memory maps and positioned reads give the same scan to the last bit', async () => {
    const model = openModel(path.join(cases, '../models/tiny-gpt2'));
    const [mapped, read] = [await runJob(scanModel(model, { threshold: 0.1, io: 'mmap' }, pool)), await runJob(scanModel(model, { threshold: 0.1, io: 'pread' }, pool))];
    assert.deepEqual(mapped, read);
  });
}
