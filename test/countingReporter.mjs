// node:test reporter: readable lines on stdout, totals into the file named by WINNOW_COUNTS.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export default async function* report(source) {
  let passed = 0, failed = 0, skipped = 0;
  const failures = [];
  for await (const event of source) {
    const { type, data } = event;
    if (type === 'test:stdout' || type === 'test:stderr') {
      if (/SKIPPED/.test(data.message)) yield data.message.endsWith('\n') ? data.message : `${data.message}\n`;
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const where = data.file ? path.relative(process.cwd(), data.file) : '';
    const suite = data.details?.type === 'suite';
    // A file is reported as a test of its own when it dies before its first test.
    if (type === 'test:fail') {
      if (!suite || data.details?.error?.failureType === 'hookFailed') {
        failed++;
        const cause = data.details?.error?.cause ?? data.details?.error;
        failures.push(`${where}: ${data.name}\n${cause?.stack ?? cause}`);
        yield `not ok  ${where}  ${data.name}  (${Math.round(data.details?.duration_ms ?? 0)} ms)\n${cause?.stack ?? cause}\n`;
      }
    } else if (!suite) {
      if (data.skip !== undefined || data.todo !== undefined) { skipped++; yield `SKIPPED ${where}  ${data.name}\n`; }
      else { passed++; yield `ok      ${where}  ${data.name}  (${Math.round(data.details?.duration_ms ?? 0)} ms)\n`; }
    }
  }
  if (failures.length) yield `\n---- ${failures.length} failed\n${failures.join('\n\n')}\n`;
  writeFileSync(process.env.WINNOW_COUNTS, JSON.stringify({ passed, failed, skipped }));
}
