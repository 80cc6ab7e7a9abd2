import type { ErrorCode, Place } from '../errors';
import type { WorkerAnswers, WorkerTask } from './contract';

// Between the pool and its workers.

export interface WorkerStart {
  /** Shared; holds the id of the task that shall stop. */
  readonly cancelled: Int32Array;
}

export interface ToWorker { readonly id: number; readonly task: WorkerTask }

export type FromWorker =
  | { readonly type: 'answer'; readonly id: number; readonly bytes: number; readonly answer: WorkerAnswers[WorkerTask['kind']] }
  /** Bytes since the last message of this task. */
  | { readonly type: 'bytes'; readonly id: number; readonly bytes: number }
  | { readonly type: 'failure'; readonly id: number; readonly code: ErrorCode; readonly where: Place; readonly detail: string };
