import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { type TempDir, tempDir } from '../../test/support/temp-dir.ts';
import { openKeyring } from './crypto.ts';

let directory: TempDir;
beforeEach(async () => {
  directory = await tempDir('keys');
});
afterEach(() => directory.remove());

describe('a sealed text', () => {
  const keyring = openKeyring({ dataDir: '/nowhere', secretKey: randomBytes(32) });

  it('opens to what was sealed', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (plain, boundTo) => {
        expect(keyring.open(keyring.seal(plain, boundTo), boundTo)).toBe(plain);
      }),
    );
  });

  it('is different each time and shows its version', () => {
    const [one, two] = [keyring.seal('secret', 'a'), keyring.seal('secret', 'a')];
    expect(one).toMatch(/^v1\.[\w-]+$/);
    expect(one).not.toBe(two);
  });

  it('does not open for another purpose', () => {
    expect(() => keyring.open(keyring.seal('secret', 'a'), 'b')).toThrow('another purpose');
  });

  it('does not open with another key', () => {
    const other = openKeyring({ dataDir: '/nowhere', secretKey: randomBytes(32) });
    expect(() => other.open(keyring.seal('secret', 'a'), 'a')).toThrow('another key');
  });

  it('does not open when any bit of it is changed', () => {
    const sealed = Buffer.from(keyring.seal('secret', 'a').slice(3), 'base64url');
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => keyring.open(`v1.${changed.toString('base64url')}`, 'a')).toThrow('changed');
    }
  });

  it.each(['', 'v1.', 'v2.AAAA', 'secret', 'v1.AAAAAAAAAAAAAAAAAAAA'])('is not %j', (text) => {
    expect(() => keyring.open(text, 'a')).toThrow('Not an encrypted text.');
  });
});

describe('a derived key', () => {
  const keyring = (fill: number) => openKeyring({ dataDir: '/nowhere', secretKey: Buffer.alloc(32, fill) });

  it('is the same in every process with the same secret key, for ever', () => {
    // Computed with OpenSSL: openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:0101… -kdfopt info:'promgate cache' HKDF
    expect(keyring(1).derive('cache').toString('hex')).toBe('8bcf6d03349a30a60edb5893d371f8d79128c4b70f65207abda1c1f98cc5a747');
  });

  it('is another one for another purpose and for another secret key', () => {
    const keys = [keyring(1).derive('a'), keyring(1).derive('b'), keyring(2).derive('a'), Buffer.alloc(32, 1)];
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(4);
    expect(keys.map((key) => key.length)).toEqual([32, 32, 32, 32]);
  });
});

describe('the key file', () => {
  const open = () => openKeyring({ dataDir: directory.path, secretKey: null });
  const path = () => join(directory.path, 'secret.key');

  it('is made once, for its owner alone, and used again', () => {
    const sealed = open().seal('secret', 'a');
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(open().open(sealed, 'a')).toBe('secret');
    expect(readdirSync(directory.path)).toEqual(['secret.key']);
  });

  it('is made in a data directory that does not exist yet, which is then closed to others', () => {
    const dataDir = join(directory.path, 'new');
    openKeyring({ dataDir, secretKey: null });
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  });

  it('is not made where a key is set', () => {
    openKeyring({ dataDir: directory.path, secretKey: randomBytes(32) });
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it('is one for all processes that start at once', { timeout: 120_000 }, async () => {
    const module = new URL('./crypto.ts', import.meta.url).href;
    const script = `const { openKeyring } = await import(${JSON.stringify(module)});
      while (Date.now() < Number(process.argv[2])) {}
      process.stdout.write(openKeyring({ dataDir: process.argv[1], secretKey: null }).seal('secret', 'a'))`;
    const start = `${Date.now() + 1_500}`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, directory.path, start]);
    const sealed = await Promise.all([run(), run(), run(), run()]);
    expect(sealed.map(({ stdout }) => open().open(stdout, 'a'))).toEqual(['secret', 'secret', 'secret', 'secret']);
    expect(readdirSync(directory.path)).toEqual(['secret.key']);
  });

  it.each([0o640, 0o604, 0o660])('is refused with mode %o, with the command that repairs it', (mode) => {
    open();
    chmodSync(path(), mode);
    expect(open).toThrow(`chmod 600 ${path()}`);
  });

  it.each(['', 'AAAA', `${randomBytes(31).toString('base64')}`, `${randomBytes(33).toString('base64')}`, '?'.repeat(44)])(
    'is refused with the content %j',
    (content) => {
      writeFileSync(path(), content, { mode: 0o600 });
      expect(open).toThrow('does not hold 32 bytes in base64');
      expect(readFileSync(path(), 'utf8')).toBe(content);
    },
  );
});

it('a key of another length than 32 bytes is refused', () => {
  expect(() => openKeyring({ dataDir: directory.path, secretKey: randomBytes(16) })).toThrow('has 16 bytes');
});
