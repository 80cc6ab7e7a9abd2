import { createHash } from 'node:crypto';
import { downloadFile, pathsInfo } from '@huggingface/hub';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { HubFile } from './hubCache';
import { hasProxy, hubEndpoint, hubToken } from './hubSettings';

/** What may be taken into memory; benchmark texts are below 10 MB. */
const MAX_DOWNLOAD_BYTES = 256 * 1024 * 1024;

/** A file of the Hub before it is fetched. */
export interface HubOffer {
  readonly url: string;
  readonly bytes: number;
  /** The SHA-256 that the Hub keeps of large files; null for files in plain git. */
  readonly sha256: string | null;
}

const failed = (file: HubFile, error: unknown): CheckpointError => {
  const said = error instanceof Error ? error : new Error(String(error));
  const cause = said.cause instanceof Error ? `: ${said.cause.message || (said.cause as NodeJS.ErrnoException).code}` : '';
  return new CheckpointError('download-failed', { key: file.repository }, `${said.message}${cause}`, { cause: error });
};

/**
 * `fetch` through the proxy that the environment names, with the signal; the access token goes to the Hub alone, not to where it
 * redirects.
 */
async function hubFetch(signal?: AbortSignal): Promise<typeof fetch> {
  const origin = new URL(hubEndpoint()).origin;
  let work: typeof fetch = fetch, dispatcher: unknown;
  if (hasProxy()) {
    const undici = await import('undici');
    dispatcher = new undici.EnvHttpProxyAgent();
    work = undici.fetch as unknown as typeof fetch;
  }
  return (input, init) => {
    const headers = new Headers(init?.headers);
    if (new URL(input instanceof Request ? input.url : input).origin !== origin) headers.delete('authorization');
    return work(input, { ...init, headers: Object.fromEntries(headers), signal, ...(dispatcher !== undefined && { dispatcher }) } as RequestInit);
  };
}

const parameters = (file: HubFile): { repo: { type: 'dataset'; name: string }; hubUrl: string; accessToken?: string } => {
  const token = hubToken();
  return { repo: { type: 'dataset', name: file.repository }, hubUrl: hubEndpoint(), ...(token !== null && { accessToken: token }) };
};

/** What there is to fetch, and how large it is. @throws CheckpointError `download-failed`, `cancelled` */
export async function offerOf(file: HubFile, signal?: AbortSignal): Promise<HubOffer> {
  try {
    const [found] = await pathsInfo({ ...parameters(file), paths: [file.paths[0]], fetch: await hubFetch(signal) });
    if (found?.type !== 'file' || !Number.isSafeInteger(found.size)) throw new Error(`${file.paths[0]} is not in the data set`);
    const sha256 = found.lfs && /^[0-9a-f]{64}$/.test(found.lfs.oid) ? found.lfs.oid : null;
    return { url: `${hubEndpoint()}/datasets/${file.repository}/resolve/main/${file.paths[0]}`, bytes: found.size, sha256 };
  } catch (error) {
    throwIfCancelled(signal);
    throw failed(file, error);
  }
}

/**
 * The bytes of a file of the Hub, held against the size and the checksum that were offered.
 *
 * @throws CheckpointError `download-failed`, `checksum-differs`, `cancelled`
 */
export async function* download(file: HubFile, offer: HubOffer, signal?: AbortSignal): Job<Uint8Array> {
  if (offer.bytes > MAX_DOWNLOAD_BYTES) throw new CheckpointError('download-failed', { key: file.repository }, `${offer.bytes} bytes, at most ${MAX_DOWNLOAD_BYTES}`);
  const bytes = new Uint8Array(offer.bytes);
  let at = 0;
  try {
    const blob = await downloadFile({ ...parameters(file), path: file.paths[0], xet: false, fetch: await hubFetch(signal) });
    if (blob === null) throw new Error(`${file.paths[0]} is not in the data set`);
    for await (const part of blob.stream() as unknown as AsyncIterable<Uint8Array>) {
      throwIfCancelled(signal);
      if (at + part.length > bytes.length) throw new Error(`more than the ${bytes.length} bytes that were offered`);
      bytes.set(part, at);
      at += part.length;
      yield { stage: 'fetching', done: at, total: bytes.length, unit: 'bytes' };
    }
    if (at < bytes.length) throw new Error(`it ended after ${at} of ${bytes.length} bytes`);
  } catch (error) {
    throwIfCancelled(signal);
    throw failed(file, error);
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (offer.sha256 !== null && offer.sha256 !== sha256) throw new CheckpointError('checksum-differs', { key: offer.url }, `SHA-256 is ${sha256.slice(0, 12)}…, the Hub says ${offer.sha256.slice(0, 12)}…`);
  return bytes;
}
