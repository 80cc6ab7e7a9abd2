import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { readWholeText } from '../bytes/readWhole';

type Environment = Readonly<Record<string, string | undefined>>;

const MAX_TOKEN_BYTES = 4096;

/** What is set to something. */
const set = (environment: Environment, ...names: string[]): string | undefined => names.map((name) => environment[name]).find((value) => value !== undefined && value !== '');

const home = (environment: Environment): string => set(environment, 'HF_HOME') ?? path.join(set(environment, 'XDG_CACHE_HOME') ?? path.join(homedir(), '.cache'), 'huggingface');

/** Where the Python libraries of Hugging Face keep what they have downloaded, by the variables that they read. */
export const hubCacheFolder = (environment: Environment = process.env): string => set(environment, 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? path.join(home(environment), 'hub');

/** The address of the Hub, without a slash at its end. */
export const hubEndpoint = (environment: Environment = process.env): string => (set(environment, 'HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');

/** True when the person has said that nothing may be fetched. */
export const isOffline = (environment: Environment = process.env): boolean => /^(1|on|yes|true)$/i.test(set(environment, 'HF_HUB_OFFLINE') ?? '');

/** The access token: `HF_TOKEN`, else the file that `hf auth login` writes; null when there is none. It is never shown. */
export function hubToken(environment: Environment = process.env): string | null {
  const given = set(environment, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN');
  if (given !== undefined) return given.trim();
  const file = set(environment, 'HF_TOKEN_PATH') ?? path.join(home(environment), 'token');
  const token = existsSync(file) ? readWholeText(file, MAX_TOKEN_BYTES).trim() : '';
  return token === '' ? null : token;
}

/** True when a proxy is named; Node's own fetch looks at none before version 24. */
export const hasProxy = (environment: Environment = process.env): boolean => set(environment, 'HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy') !== undefined;
