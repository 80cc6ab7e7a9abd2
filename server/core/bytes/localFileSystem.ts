import { statfsSync } from 'node:fs';

/** Magic numbers of Linux file systems that live on this machine (statfs(2)). What is not listed is read, not mapped. */
const LOCAL_LINUX = new Set([
  0xef53, // ext2/3/4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
  0x794c7630, // overlayfs
  0x73717368, // squashfs
  0xe0f5e1e2, // erofs
  0x3153464a, // jfs
  0x52654973, // reiserfs
  0x3434, // nilfs2
  0x2011bab0, // exfat
  0x4d44, // fat
  0x7366746e, // ntfs3
  0x9660, // iso9660
]);

/**
 * True when a map of the file is safe enough: its disk does not go away with a cable or a server. NFS, CIFS, FUSE, 9p and
 * everything unknown is read by calls instead, where a lost file is an error and not a signal.
 */
export function isOnLocalFileSystem(realPath: string): boolean {
  // macOS mounts network and external disks under /Volumes; its statfs types are not stable numbers.
  if (process.platform === 'darwin') return !realPath.startsWith('/Volumes/') && !realPath.startsWith('/Network/');
  // A map on Windows keeps everyone else from replacing the file, and a drive letter does not say whether it is remote.
  if (process.platform !== 'linux') return false;
  try {
    return LOCAL_LINUX.has(statfsSync(realPath).type >>> 0);
  } catch {
    return false;
  }
}
