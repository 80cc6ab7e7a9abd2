import { albert, bert, roberta } from './bert';
import type { Architecture } from './contract';
import { debertaV2 } from './debertaV2';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import { t5 } from './t5';

/** Every family that is known by more than its names. */
export const architectures: readonly Architecture[] = [gpt2, llama, t5, bert, roberta, albert, debertaV2];
