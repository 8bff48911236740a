import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tempDir } from './temp-dir.ts';

const run = promisify(execFile);

/** PEM texts. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface TestCertificates {
  /** The private CA's certificate. */
  readonly ca: string;
  /** For 127.0.0.1 and localhost. */
  readonly server: KeyPair;
  /** For `CN=promgate`, client authentication only. */
  readonly client: KeyPair;
  /** For 127.0.0.1 too, but signed by nobody that `ca` knows. */
  readonly stranger: KeyPair;
}

/** A private CA with one certificate for a server and one for a client, made by `openssl`, valid for a day. */
export async function createCertificates(): Promise<TestCertificates> {
  const dir = await tempDir('tls');
  const path = (name: string): string => join(dir.path, name);
  const pair = async (name: string): Promise<KeyPair> => ({
    cert: await readFile(path(`${name}.pem`), 'utf8'),
    key: await readFile(path(`${name}.key`), 'utf8'),
  });
  const selfSigned = (name: string, extensions: string[]): Promise<unknown> => {
    const out = ['-keyout', path(`${name}.key`), '-out', path(`${name}.pem`)];
    return run('openssl', ['req', '-x509', ...newKey, ...out, '-days', '1', '-subj', `/CN=test ${name}`, ...extensions]);
  };
  const signed = async (name: string, subject: string, extensions: string): Promise<void> => {
    await writeFile(path(`${name}.ext`), extensions);
    const request = ['-keyout', path(`${name}.key`), '-out', path(`${name}.csr`), '-subj', subject];
    await run('openssl', ['req', ...newKey, ...request]);
    const issuer = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '1'];
    const files = ['-in', path(`${name}.csr`), '-out', path(`${name}.pem`), '-extfile', path(`${name}.ext`)];
    await run('openssl', ['x509', '-req', ...files, ...issuer]);
  };
  try {
    await selfSigned('ca', []);
    await signed('server', '/CN=localhost', `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`);
    await signed('client', '/CN=promgate', 'extendedKeyUsage=clientAuth\n');
    await selfSigned('stranger', ['-addext', `subjectAltName=${names}`]);
    const { cert: ca } = await pair('ca');
    return { ca, server: await pair('server'), client: await pair('client'), stranger: await pair('stranger') };
  } finally {
    await dir.remove();
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const names = 'DNS:localhost,IP:127.0.0.1';
