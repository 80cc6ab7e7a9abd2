import type { Role, TensorRole } from './contract';
import { roleByName } from './fallback';

/** How the tensors of a family of decoders are named. Every matrix stores (out, in). */
export interface BlockNames {
  /** What may stand before a name; taken off. */
  readonly prefix: RegExp;
  /** Before a block's number: `layers`, `h`. */
  readonly blocks: string;
  /** Matrices by their name below the block. */
  readonly matrices: Readonly<Record<string, Role>>;
  /** What lies outside the blocks, by its name without `.weight` or `.bias`; the vectors of a norm are norm and bias. */
  readonly outside: Readonly<Record<string, Role>>;
  /** Names below the block, or outside, that are computed and not learned. */
  readonly buffers: RegExp;
}

/** The role function of such a family; names it does not know are read by their words. */
export function rolesOf(names: BlockNames): (name: string, shape: readonly number[]) => TensorRole {
  const inBlock = new RegExp(`^${names.blocks}\\.(\\d{1,6})\\.(.+)$`);
  return (name, shape) => {
    const short = name.replace(names.prefix, ''), block = inBlock.exec(short), matrix = shape.length >= 2;
    const rest = block?.[2] ?? short, module = rest.replace(/\.(weight|bias)$/, '');
    const place = (role: Role, prunable = false): TensorRole => ({
      role, layer: block ? Number(block[1]) : null, group: block ? `${names.blocks}.${block[1]}` : module, prunable, parameter: role !== 'buffer',
      orientation: matrix && role !== 'buffer' ? 'out-in' : null,
    });
    if (names.buffers.test(rest)) return place('buffer');
    if (rest.endsWith('.bias')) return place('bias');
    if (block) {
      if (Object.hasOwn(names.matrices, module) && shape.length === 2) return place(names.matrices[module], true);
      if (/norm|(^|\.)ln_\w+/.test(module)) return place('norm');
    } else if (Object.hasOwn(names.outside, module)) return place(names.outside[module]);
    return roleByName(name, shape);
  };
}
