/**
 * Decoding of parameters from a URL's query string and from urlencoded and multipart bodies.
 * Stricter than Go's `net/url`, which skips what it cannot decode: here a malformed pair is an error that names it.
 */
import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import { PromgateError } from '../errors.ts';

/** A decoded name and value. */
export type Pair = readonly [name: string, value: string];

/** Bytes of a request's body, whatever its form. */
export const MAX_BODY = 10 * 1024 * 1024;
/** Bytes of all of them together. */
const MAX_BODIES = 64 * 1024 * 1024;
const MAX_PAIRS = 10_000;

/**
 * Decodes `a=1&b=2` (`+` is a space). A `;` is refused as Go's parser does, because programs on the way disagree about it.
 * Throws `bad_data` for malformed percent-encoding, invalid UTF-8, semicolons and more than 10,000 pairs.
 */
export function decodeForm(text: string): Pair[] {
  const pairs: Pair[] = [];
  if (text === '') return pairs;
  let start = 0;
  while (start <= text.length) {
    let end = text.indexOf('&', start);
    if (end === -1) end = text.length;
    if (end > start) {
      if (pairs.length === MAX_PAIRS) throw tooManyPairs();
      pairs.push(decodePair(text.slice(start, end)));
    }
    start = end + 1;
  }
  return pairs;
}

function decodePair(text: string): Pair {
  if (text.includes(';')) {
    throw new PromgateError(
      'bad_data',
      'invalid semicolon in the parameters: separate them with "&" and write ";" in a value as %3B',
    );
  }
  const equals = text.indexOf('=');
  const name = decodeText(equals === -1 ? text : text.slice(0, equals), null);
  return [name, equals === -1 ? '' : decodeText(text.slice(equals + 1), name)];
}

function decodeText(text: string, parameter: string | null): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    const where = parameter === null ? 'in the name of a parameter' : `in parameter ${JSON.stringify(parameter.slice(0, 64))}`;
    throw new PromgateError('bad_data', `malformed percent-encoding or invalid UTF-8 ${where}`);
  }
}

/** Bytes of all bodies that are being read, and what takes some of them away. */
interface Budget {
  left: number;
}

/**
 * A reader of POST bodies that together never hold more than `budget` bytes in memory: a few clients that send slowly must not
 * use it up. Gives the parameters; a request without a body has none. Rejects with `bad_data` for a content type that
 * cannot hold parameters, `too_large` over {@link MAX_BODY}, `too_many_requests` where the budget is used up.
 */
export function createBodyReader(budget = MAX_BODIES): (request: IncomingMessage) => Promise<Pair[]> {
  const shared: Budget = { left: budget };
  return async (request) => {
    let taken = 0;
    const take = (bytes: number) => {
      taken += bytes;
      shared.left -= bytes;
      if (taken > MAX_BODY) throw bodyTooLarge();
      if (shared.left < 0) {
        throw new PromgateError('too_many_requests', 'too many request bodies at once; try again in 1s', {
          headers: { 'Retry-After': '1' },
        });
      }
    };
    try {
      return await readBody(request, take);
    } finally {
      shared.left += taken;
    }
  };
}

async function readBody(request: IncomingMessage, take: (bytes: number) => void): Promise<Pair[]> {
  const length = request.headers['content-length'];
  if (length === '0' || (length === undefined && request.headers['transfer-encoding'] === undefined)) return [];
  if (length !== undefined && Number(length) > MAX_BODY) throw bodyTooLarge();
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new PromgateError('bad_data', 'the request body is compressed: send it without Content-Encoding');
  }
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'multipart/form-data') return await readMultipart(request, take);
  if (type === 'application/x-www-form-urlencoded') return decodeForm(await readText(request, take));
  throw new PromgateError(
    'bad_data',
    'parameters in a request body need the content type application/x-www-form-urlencoded or multipart/form-data',
  );
}

async function readText(request: IncomingMessage, take: (bytes: number) => void): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    take(chunk.length);
    chunks.push(chunk);
  }
  // Urlencoded text is ASCII; anything else in it would be a way to smuggle what the decoder does not see.
  const text = Buffer.concat(chunks).toString('latin1');
  if (!isPrintableAscii(text)) {
    throw new PromgateError('bad_data', 'the request body is not urlencoded: it holds characters that must be percent-encoded');
  }
  return text.trimEnd();
}

function isPrintableAscii(text: string): boolean {
  return /^[\t\n\r\x20-\x7e]*$/.test(text);
}

function readMultipart(request: IncomingMessage, take: (bytes: number) => void): Promise<Pair[]> {
  return new Promise((resolve, reject) => {
    const pairs: Pair[] = [];
    const fail = (error: Error) => {
      request.unpipe();
      // What is left of the body is not read: the answer ends the connection.
      request.pause();
      reject(
        error instanceof PromgateError
          ? error
          : new PromgateError('bad_data', 'malformed multipart/form-data body', { cause: error }),
      );
    };
    let form: BusboyInstance;
    try {
      const headers = { 'content-type': request.headers['content-type'] ?? '' };
      form = new Busboy({ headers, limits: { fields: MAX_PAIRS, fieldSize: MAX_BODY, parts: MAX_PAIRS } });
    } catch (error) {
      fail(error as Error);
      return;
    }
    request.on('data', (chunk: Buffer) => {
      try {
        take(chunk.length);
      } catch (error) {
        fail(error as Error);
      }
    });
    request.once('error', fail);
    request.once('close', () => {
      if (!request.complete) fail(new PromgateError('bad_data', 'the request body ended early'));
    });
    // Go passes over a part without a name; busboy gives it none.
    form.on('field', (name: string | undefined, value: string) => {
      if (name !== undefined) pairs.push([name, value]);
    });
    form.on('file', (_name, stream) => {
      // A file that breaks off is an error of its stream alone; without a listener it would end the process.
      stream.on('error', fail);
      stream.resume();
    });
    form.on('fieldsLimit', () => fail(tooManyPairs()));
    form.on('partsLimit', () => fail(tooManyPairs()));
    form.on('error', (error: unknown) => fail(error as Error));
    form.on('finish', () => resolve(pairs));
    request.pipe(form);
  });
}

function bodyTooLarge(): PromgateError {
  return new PromgateError('too_large', `the request body is larger than ${MAX_BODY} bytes`);
}

function tooManyPairs(): PromgateError {
  return new PromgateError('bad_data', `more than ${MAX_PAIRS} parameters`);
}
