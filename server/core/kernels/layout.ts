// Where everything lies in a worker's WASM memory, in bytes. Read by the AssemblyScript kernels and by their typed
// wrappers alike, so it holds plain integer constants only. Static data of the module stays below 64 KiB.

/** Four tables of 65,536 u32 counters, one per 16-bit lane of a u64 load; folded into the first by `foldTables`. */
export const TABLES = 0x10000;
/** Bytes of one table. */
export const TABLE_BYTES = 0x40000;
/** 32,768 u16: 1 + slot of a wanted coarse key, 0 for all others. */
export const SLOT_MAP = 0x110000;
/** SLOTS tables of 65,536 u32: the low halves of one wanted key each. */
export const SLOT_TABLES = 0x120000;
export const SLOTS = 16;
/** Up to 65,536 u32: the patterns that a scan met. Shares the slots' memory: nobody scans and refines at once. */
export const FILLED = SLOT_TABLES;
/** 16 F64: what a kernel answers with. */
export const RESULT = 0x520000;
/** The data window: from here to the end of memory. */
export const BUFFER = 0x530000;
export const BUFFER_BYTES = 0x1000000;
/**
 * What is read at once while streaming; a cancel is seen between two of these. Small enough that a window is still in the
 * core's own cache when the kernel reads it.
 */
export const WINDOW_BYTES = 0x100000;
/** Initial = maximum, because a view taken before a `grow` has length 0. BUFFER + BUFFER_BYTES rounded up. */
export const MEMORY_PAGES = 344;
