import { albert, bert, roberta } from './bert';
import { bloom } from './bloom';
import type { Architecture } from './contract';
import { debertaV2 } from './debertaV2';
import { gemma3 } from './gemma3';
import { gpt2 } from './gpt2';
import { gptNeox } from './gptNeox';
import { gptj } from './gptj';
import { gemma, llama, mixtral } from './llama';
import { opt } from './opt';
import { phi } from './phi';
import { t5 } from './t5';

/** Every family that is known by more than its names. */
export const architectures: readonly Architecture[] = [gpt2, llama, gemma, gemma3, mixtral, t5, bert, roberta, albert, debertaV2, opt, gptNeox, gptj, bloom, phi];
