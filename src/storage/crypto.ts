/** Encryption at rest: AES-256-GCM under one key, from the settings or from a generated file in the data directory. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { makeDataDir } from './data-dir.ts';

export interface Keyring {
  /** Encrypts `plain` to `v1.<base64url>`, which opens only with the same `boundTo`. */
  seal(plain: string, boundTo: string): string;
  /** The text that was sealed. Throws, without a word of the content, on another key, another `boundTo` or a changed text. */
  open(sealed: string, boundTo: string): string;
  /** A key of 32 bytes for another purpose: the same for all processes with this secret key, and no way back to it (RFC 5869). */
  derive(purpose: string): Buffer;
}

const version = 'v1.';
const cipher = 'aes-256-gcm';
const keyLength = 32;
/** A random 96-bit nonce for each text is safe for 2^32 of them under one key (NIST SP 800-38D §8.3). */
const nonceLength = 12;
const tagLength = 16;

/**
 * The keyring of an instance. Creates the key file when no key is set and there is none, unless `create` is false: a key that was
 * there and is gone must not be replaced by another one unseen. Several processes may create it at once.
 */
export function openKeyring(settings: Pick<Settings, 'dataDir' | 'secretKey'>, { create = true } = {}): Keyring {
  return keyringOf(settings.secretKey ?? keyFromFile(settings.dataDir, create));
}

function keyringOf(key: Buffer): Keyring {
  if (key.length !== keyLength) throw new Error(`The secret key has ${key.length} bytes; it must have ${keyLength}.`);
  return {
    seal(plain, boundTo) {
      const nonce = randomBytes(nonceLength);
      const encryption = createCipheriv(cipher, key, nonce, { authTagLength: tagLength }).setAAD(Buffer.from(boundTo));
      const parts = [nonce, encryption.update(plain, 'utf8'), encryption.final(), encryption.getAuthTag()];
      return version + Buffer.concat(parts).toString('base64url');
    },
    open(sealed, boundTo) {
      const bytes = Buffer.from(sealed.slice(version.length), 'base64url');
      if (!sealed.startsWith(version) || bytes.length < nonceLength + tagLength) throw new Error('Not an encrypted text.');
      const decryption = createDecipheriv(cipher, key, bytes.subarray(0, nonceLength), { authTagLength: tagLength })
        .setAAD(Buffer.from(boundTo))
        .setAuthTag(bytes.subarray(-tagLength));
      try {
        const plain = decryption.update(bytes.subarray(nonceLength, -tagLength));
        return Buffer.concat([plain, decryption.final()]).toString('utf8');
      } catch {
        throw new Error('The encrypted text was made with another key or for another purpose, or it was changed.');
      }
    },
    derive: (purpose) => Buffer.from(hkdfSync('sha256', key, '', `promgate ${purpose}`, keyLength)),
  };
}

function keyFromFile(dataDir: string, create: boolean): Buffer {
  const path = join(dataDir, 'secret.key');
  const key = readKey(path);
  if (key === null && !create) {
    throw new Error(
      `The key file ${path} is missing, and this database is used with a key. Put the file back from where it is kept, or set ` +
        'secret_key. If the key is lost: promgate apply --new-key with a file of all servers.',
    );
  }
  return key ?? createKey(dataDir, path);
}

/** `null` where there is no such file. */
function readKey(path: string): Buffer | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
  try {
    const mode = fstatSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      throw new Error(`Others may read the key file ${path} (mode ${mode.toString(8)}). Run: chmod 600 ${path}`);
    }
    const text = readFileSync(file, 'utf8').trim();
    const key = Buffer.from(text, 'base64');
    if (key.length !== keyLength || key.toString('base64') !== text) {
      throw new Error(
        `The key file ${path} does not hold ${keyLength} bytes in base64. Restore it from a backup; ` +
          'if there is none, remove it and run: promgate apply --new-key with a file of all servers.',
      );
    }
    return key;
  } finally {
    closeSync(file);
  }
}

/**
 * A link fails where the name is taken, so of several processes that start at once one wins and all read its key; and the
 * file is whole as soon as it has its name.
 */
function createKey(dataDir: string, path: string): Buffer {
  makeDataDir(dataDir);
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(file, `${randomBytes(keyLength).toString('base64')}\n`);
    fsyncSync(file);
    linkSync(draft, path);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
  const key = readKey(path);
  if (key === null) throw new Error(`The key file ${path} vanished while it was being created.`);
  return key;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
