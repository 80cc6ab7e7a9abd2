import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import Ajv from 'ajv';
import schemas from '../../server/protocol/schemas.json';
import { verbs } from '../../server/rpc/verbs/registry';

const root = path.resolve(import.meta.dirname, '../..');

test('schemas.json is what verbs.ts says today', () => {
  const { status, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/schemas.mjs'), '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('every verb has a schema that compiles, and refuses an unknown key', () => {
  for (const { name } of verbs) {
    const definition = schemas.verbs[name];
    assert.ok(definition, `${name} has no schema`);
    const validate = new Ajv({ strict: false }).compile({ ...schemas, $ref: `#/definitions/${definition}` });
    assert.equal(validate({ surely: 'not' }), false);
  }
});
