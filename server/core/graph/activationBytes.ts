/** What sizes the working memory of one token in one block. */
export interface ActivationShape {
  readonly width: number;
  /** Numbers per token in the widest part of the MLP, all branches. */
  readonly inner: number;
  readonly vocab: number;
  readonly heads: number;
  readonly context: number;
  readonly plainAttention: boolean;
}

/**
 * A rough upper bound in bytes: the live values of one block, the attention scores (twice where they are nodes of
 * their own), a row of logits and one of log-probabilities; a sixth more for the allocator. GPT-2 small at 1,024 tokens, all of
 * them scored: 588 KB here, 541 measured (peak of the process).
 */
export const activationBytesPerToken = (shape: ActivationShape): number =>
  Math.ceil((4 * 7 / 6) * (6 * shape.width + 2 * shape.inner + (shape.plainAttention ? 3 : 1) * shape.heads * shape.context + 2.05 * shape.vocab));
