// The WASM SIMD kernels. Loops over memory that the caller laid out (kernels/layout.ts): no allocation, no growth, no I/O.
export { clearFolded, clearTables, foldTables, histogram16, clearSlots, refine32 } from './histogram';
export { scan32 } from './scan32';
export { count16, count32, mask16, mask32 } from './mask';
export { groups16, groups32, smallest16, smallest32 } from './select';
export { applyLower, cholesky, invertLower, sweep } from './dense';
