import path from 'node:path';
import { loadKoffi } from './koffi';
import type { Koffi } from './koffi';

/**
 * The few native calls that a map needs, through koffi. An address is a BigInt that never leaves this folder; bytes are
 * copied out with memcpy. No `koffi.view`: an external ArrayBuffer aborts Electron-as-Node, and one of 5 GB aborts anything.
 */
export interface Mapper {
  /** Maps `length` bytes at `from` (a multiple of GRANULARITY) read-only; null when the system refuses. */
  map(file: MappableFile, from: number, length: number): bigint | null;
  unmap(address: bigint, length: number): void;
  /** Copies `length` bytes at `address` to the start of `into`. The caller has checked every bound. */
  copy(address: bigint, into: Uint8Array, length: number): void;
}

export interface MappableFile {
  readonly fd: number;
  readonly realPath: string;
}

/** Windows maps at multiples of 64 KiB; every page size in use divides it. */
export const GRANULARITY = 65536;

let loaded: { mapper: Mapper | null; reason: string | null } | undefined;

/** The mapper, or null with the reason why there is none on this machine. Loaded once. */
export function loadMapper(): { readonly mapper: Mapper | null; readonly reason: string | null } {
  if (!loaded) {
    try {
      const koffi = loadKoffi();
      loaded = { mapper: process.platform === 'win32' ? windowsMapper(koffi) : posixMapper(koffi), reason: null };
    } catch (error) {
      loaded = { mapper: null, reason: error instanceof Error ? error.message.split('\n')[0] : String(error) };
    }
  }
  return loaded;
}

function posixMapper(koffi: Koffi): Mapper {
  const process_ = koffi.load(null);
  const mmap = process_.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)');
  const munmap = process_.func('int munmap(void *address, size_t length)');
  const memcpy = process_.func('void *memcpy(void *to, const void *from, size_t length)');
  const PROT_READ = 1, MAP_SHARED = 1, MAP_FAILED = 2n ** 64n - 1n;
  return {
    map(file, from, length) {
      const address = mmap(null, length, PROT_READ, MAP_SHARED, file.fd, from);
      return typeof address !== 'bigint' || BigInt.asUintN(64, address) === MAP_FAILED ? null : address;
    },
    unmap(address, length) { munmap(address, length); },
    copy(address, into, length) { memcpy(into, address, length); },
  };
}

function windowsMapper(koffi: Koffi): Mapper {
  const kernel32 = koffi.load('kernel32.dll');
  const createFile = kernel32.func('void *__stdcall CreateFileW(const char16_t *name, uint32_t access, uint32_t share, void *security, uint32_t disposition, uint32_t flags, void *template)');
  const createMapping = kernel32.func('void *__stdcall CreateFileMappingW(void *file, void *security, uint32_t protection, uint32_t high, uint32_t low, const char16_t *name)');
  const mapView = kernel32.func('void *__stdcall MapViewOfFile(void *mapping, uint32_t access, uint32_t high, uint32_t low, size_t length)');
  const unmapView = kernel32.func('int __stdcall UnmapViewOfFile(void *address)');
  const closeHandle = kernel32.func('int __stdcall CloseHandle(void *handle)');
  const moveMemory = kernel32.func('void __stdcall RtlMoveMemory(void *to, const void *from, size_t length)');
  const GENERIC_READ = 0x80000000, SHARE_ALL = 7, OPEN_EXISTING = 3, PAGE_READONLY = 2, FILE_MAP_READ = 4, INVALID = 2n ** 64n - 1n;
  return {
    map(file, from, length) {
      const handle = createFile(path.toNamespacedPath(file.realPath), GENERIC_READ, SHARE_ALL, null, OPEN_EXISTING, 0, null);
      if (typeof handle !== 'bigint' || BigInt.asUintN(64, handle) === INVALID) return null;
      // A view keeps its file and its mapping alive, so both handles can go at once.
      const mapping = createMapping(handle, null, PAGE_READONLY, 0, 0, null);
      closeHandle(handle);
      if (typeof mapping !== 'bigint') return null;
      const address = mapView(mapping, FILE_MAP_READ, Math.floor(from / 2 ** 32), from % 2 ** 32, length);
      closeHandle(mapping);
      return typeof address === 'bigint' ? address : null;
    },
    unmap(address) { unmapView(address); },
    copy(address, into, length) { moveMemory(into, address, length); },
  };
}
