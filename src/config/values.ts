/**
 * Readers of single values. Each takes the text of a value, whatever its source, and the directory that relative paths
 * start from.
 */
import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { NetworkError, normalizeNetwork } from '../access/networks.ts';
import { parseDuration, parseSize } from './units.ts';

/** The value; or what was expected instead (of the whole text, or of one part of a list); or a whole sentence about it. */
export type Reading<T> =
  | { readonly value: T }
  | { readonly expected: string; readonly part?: string }
  | { readonly problem: string };
export type Reader<T> = (text: string, baseDir: string) => Reading<T>;

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** `127.0.0.1:9490`, `[::1]:9490`, `localhost:9490`. */
export const listenAddress: Reader<ListenAddress> = (text) => {
  const match = /^(?:\[([^\]]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host))) {
    return { expected: 'host:port, such as 127.0.0.1:9490, or 0.0.0.0:9490 or [::]:9490 for every interface' };
  }
  return { value: { host, port } };
};

/** An http(s) URL without trailing slash, or empty. A semicolon would end the path of the session's cookie. */
export const baseUrl: Reader<string> = (text) => {
  if (text === '') return { value: '' };
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:\/\//i.test(text) || url.username || url.password || /[?#;\s]/.test(text)) {
    return { expected: 'an http or https URL without user, query, fragment or semicolon, such as https://promgate.example' };
  }
  return { value: url.href.replace(/\/+$/, '') };
};

export const directoryPath: Reader<string> = (text, baseDir) =>
  text === '' || text.includes('\0') ? { expected: 'the path of a directory' } : { value: resolve(baseDir, text) };

export const databaseUrl: Reader<string> = (text) => {
  if (text === '' || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text))) return { value: text };
  return { expected: 'empty (SQLite in data_dir) or a URL such as postgres://user:password@host:5432/promgate' };
};

/** Valkey's own schemes mean the same and are given out as Redis'. */
export const redisUrl: Reader<string> = (text) => {
  const url = text.replace(/^valkey(s?):/, 'redis$1:');
  const parsed = /^rediss?:\/\//.test(url) && URL.canParse(url) ? new URL(url) : null;
  // The path is the number of a database, and nothing else has a meaning.
  const plain = parsed?.hostname && /^\/?\d{0,5}$/.test(parsed.pathname) && !/[?#\s]/.test(url);
  if (text === '' || plain) return { value: url };
  return { expected: 'empty (none) or a URL such as redis://user:password@host:6379/0, or rediss:// for TLS' };
};

/** 32 bytes in base64, plain or URL-safe; `null` for none. */
export const secretKey: Reader<Buffer | null> = (text) => {
  if (text === '') return { value: null };
  const key = Buffer.from(text, 'base64');
  if (!/^[\w+/-]{43}=?$/.test(text) || key.length !== 32) {
    return { expected: '32 bytes in base64, such as `openssl rand -base64 32` makes' };
  }
  return { value: key };
};

/** Milliseconds within the two given, both included. */
export function duration(minimum: number, maximum: number, range: string): Reader<number> {
  return (text) => {
    const value = parseDuration(text);
    if (value === null) return { expected: 'a duration with a unit, such as 500ms, 30s, 1h30m or 31d' };
    return value < minimum || value > maximum ? { expected: `a duration ${range}` } : { value };
  };
}

export const size: Reader<number> = (text) => {
  const value = parseSize(text);
  return value ? { value } : { expected: 'a size over 0, such as 64MiB, 128KiB, 10MB or plain bytes' };
};

/** 0 stands for none. */
export const sizeOrNone: Reader<number> = (text) => {
  const value = parseSize(text);
  return value === null ? { expected: 'a size such as 256MiB, 1GiB, 500MB or plain bytes, or 0' } : { value };
};

export const boolean: Reader<boolean> = (text) =>
  text === 'true' || text === 'false' ? { value: text === 'true' } : { expected: 'true or false' };

/** A part of a whole, from 0 to 1. */
export const fraction: Reader<number> = (text) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : -1;
  return value >= 0 && value <= 1 ? { value } : { expected: 'a number from 0 to 1, such as 0.01' };
};

export const positiveInteger: Reader<number> = (text) => {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  return value > 0 && Number.isSafeInteger(value) ? { value } : { expected: 'a whole number over 0' };
};

/** 0 stands for none. */
export const wholeNumber: Reader<number> = (text) => {
  const value = /^\d+$/.test(text) ? Number(text) : -1;
  return value >= 0 && Number.isSafeInteger(value) ? { value } : { expected: 'a whole number of 0 or more' };
};

/** So many in a second; 0 stands for none. Below one in a day it would be a lock-out. */
export const rate: Reader<number> = (text) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : -1;
  if (value === 0 || (value >= 1 / 86_400 && value <= 1_000_000)) return { value };
  return { expected: 'a number of requests per second, such as 20 or 0.5, at most 1000000, or 0' };
};

export function oneOf<const T extends string>(choices: readonly T[]): Reader<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { expected: `one of ${choices.join(', ')}` } : { value };
  };
}

/** Values apart by commas; spaces around them do not count. */
export function listOf<T>(reader: Reader<T>): Reader<T[]> {
  return (text, baseDir) => {
    const values: T[] = [];
    for (const part of text.split(',').map((item) => item.trim())) {
      if (part === '') continue;
      const reading = reader(part, baseDir);
      if ('expected' in reading) return { ...reading, part };
      if ('problem' in reading) return reading;
      values.push(reading.value);
    }
    return { value: values };
  };
}

/** As a browser sends it in `Origin`: scheme, host, port where it is not the usual one; or `*`. */
export const origin: Reader<string> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (text === '*' || (url && /^https?:$/.test(url.protocol) && url.origin === text)) return { value: text };
  return { expected: 'an origin as browsers write it, such as https://grafana.example, or *' };
};

/** CIDR notation; a plain address stands for itself alone. */
export const network: Reader<string> = (text) => {
  try {
    return { value: normalizeNetwork(text) };
  } catch (error) {
    if (error instanceof NetworkError) return { problem: error.message };
    throw error;
  }
};

/**
 * A host name as URLs have it once they are parsed (https://url.spec.whatwg.org/#host-parsing): lower case, punycode; and without a
 * dot at the end. Or as {@link network}. What a URL takes for an address in one of its odd notations is neither.
 */
export const hostOrNetwork: Reader<string> = (text, baseDir) => {
  const url = `http://${text}/`;
  const isPlain = /^[\p{L}\p{M}\p{N}._-]+$/u.test(text) && URL.canParse(url);
  const host = isPlain ? new URL(url).hostname.replace(/\.$/, '') : '';
  // RFC 1035, 2.3.4.
  const isName =
    isIP(host) === 0 && host.length <= 253 && host.split('.').every((label) => label.length > 0 && label.length <= 63);
  if (isName) return { value: host };
  if (/^[\d.:a-f/]*[\d:][\d.:a-f/]*$/i.test(text)) return network(text, baseDir);
  return {
    expected:
      'a host name without wildcards or port, such as prometheus.internal, or a network such as 10.1.0.0/16 or 2001:db8::/32',
  };
};
