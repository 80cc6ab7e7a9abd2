import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { openModel } from '../../../server/core/models/openModel';
import { inspect, inspectJson } from '../../../server/rpc/verbs/inspect';
import { root, shared, sharedIsThere, skipWithout } from '../evaluation/material';

const shown = (file: string): string => inspect.text(inspectJson(openModel(file)));

test('the two rows of blocks of an encoder-decoder are told apart', () => {
  assert.match(shown(path.join(root, 'test/golden/gguf/models/t5.gguf')), /\n2 encoder \+ 3 decoder layers of /);
});

test('a model with one row of blocks counts them plainly', () => {
  assert.match(shown(path.join(root, 'media/tiny-gpt2')), /\n\d+ layers of /);
});

test('tiny-t5 has three and three', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  assert.match(shown(path.join(shared, 'models/tiny-t5')), /\n3 encoder \+ 3 decoder layers of /);
});
