// Read-only view of one folder. What is outside looks exactly like what does not exist, whether reached by `..`,
// by an absolute path or by a symbolic link.

import { constants, type Dirent } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { GatewayError } from '../../domain/errors.ts';

const MAX_FILE_BYTES = 256 * 1024;
const MAX_ENTRIES = 500;

export interface FolderEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'other';
}

export interface DemoFiles {
  /** Entries in order of name, the first 500. @throws GatewayError `not_found`, `invalid_argument` */
  list(path: string): Promise<{ entries: FolderEntry[]; truncated: boolean }>;
  /** A UTF-8 file of at most 256 KiB. @throws GatewayError `not_found`, `invalid_argument` */
  read(path: string): Promise<{ text: string; sizeBytes: number }>;
}

export async function openDemoFiles(folder: string): Promise<DemoFiles> {
  const root = await realpath(folder);

  async function locate(path: string): Promise<string> {
    const wanted = resolve(root, path);
    // Judged before the disk is asked, so that timing and error tell nothing about what is outside.
    if (!isWithin(root, wanted)) throw notFound(path);
    const real = await realpath(wanted).catch(() => undefined);
    if (real === undefined || !isWithin(root, real)) throw notFound(path);
    return real;
  }

  return {
    async list(path) {
      const real = await locate(path);
      const { isFolder, all } = await orUnreadable(path, async () => {
        const isFolder = (await stat(real)).isDirectory();
        return { isFolder, all: isFolder ? await readdir(real, { withFileTypes: true }) : [] };
      });
      if (!isFolder) throw invalid(`"${path}" is a file: read it with read_file.`);
      all.sort((a, b) => (a.name < b.name ? -1 : 1));
      const entries = all.slice(0, MAX_ENTRIES).map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
      return { entries, truncated: all.length > MAX_ENTRIES };
    },
    async read(path) {
      const real = await locate(path);
      // No link is followed at the last step, should one be put there meanwhile; a pipe must not block the open.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const file = await orUnreadable(path, () => open(real, flags));
      try {
        const status = await file.stat();
        if (status.isDirectory()) throw invalid(`"${path}" is a folder: list it with list_files.`);
        if (!status.isFile()) throw invalid(`"${path}" is not a regular file.`);
        const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
        const sizeBytes = await fill(file, buffer);
        if (sizeBytes > MAX_FILE_BYTES) throw invalid(`"${path}" is larger than ${MAX_FILE_BYTES} bytes, the limit.`);
        return { text: decode(path, buffer.subarray(0, sizeBytes)), sizeBytes };
      } finally {
        await file.close();
      }
    },
  };
}

/** The system's own message would name the folder's place on this machine. */
function orUnreadable<T>(path: string, access: () => Promise<T>): Promise<T> {
  return access().catch((cause: unknown) => {
    throw new GatewayError('invalid_argument', `"${path}" cannot be read.`, { cause });
  });
}

/** Reads until the buffer is full or the file ends; the size in `stat` may be out of date by now. */
async function fill(file: Awaited<ReturnType<typeof open>>, buffer: Buffer): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GatewayError('invalid_argument', `"${path}" is not UTF-8 text.`, { cause });
  }
}

function isWithin(root: string, path: string): boolean {
  const step = relative(root, path);
  return step === '' || (step !== '..' && !step.startsWith(`..${sep}`) && join(root, step) === path);
}

function kindOf(entry: Dirent): FolderEntry['kind'] {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'folder' : 'other';
}

function notFound(path: string): GatewayError {
  return new GatewayError('not_found', `No such file: "${path}". list_files shows what there is.`);
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid_argument', message);
}
