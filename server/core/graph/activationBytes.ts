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
 * their own), one row of logits; a sixth more for the allocator. GPT-2 small at 1,024 tokens: 350 KB here, 318 measured.
 */
export const activationBytesPerToken = (shape: ActivationShape): number =>
  Math.ceil((4 * 7 / 6) * (6 * shape.width + 2 * shape.inner + (shape.plainAttention ? 3 : 1) * shape.heads * shape.context + 1.05 * shape.vocab));
