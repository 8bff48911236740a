/** An answer → the same, gzip-encoded on its way: what comes from the cache is kept as it is. */
import { constants, createGzip, type Gzip } from 'node:zlib';
import type { PromgateError } from '../errors.ts';
import type { Head } from '../upstream/head.ts';

/** Bytes; below, an answer fits into a few packets as it is. */
const WORTHWHILE = 4096;
/** The quickest: of 270 KB in JSON it leaves 48, where the usual level leaves 38 and takes three to four times as long (measured). */
const LEVEL = constants.Z_BEST_SPEED;

/** Encoders at once, each of which takes 256 KiB (zlib.h) for as long as its reader does. Answers beyond go as they are. */
const MOST = 256;
let running = 0;

/** Whether an answer is worth encoding, and not encoded yet, and there is room for it. */
export function isWorthwhile({ status, gzip, contentLength }: Head): boolean {
  return running < MOST && status === 200 && !gzip && (contentLength === null || contentLength >= WORTHWHILE);
}

export interface EncodedReceiver {
  /** Returns false to pause. */
  data(chunk: Buffer): boolean;
  end(): void;
  fail(error: PromgateError): void;
}

export interface Encoding extends EncodedReceiver {
  /** The reader takes more. */
  resume(): void;
  /** The reader has left. */
  destroy(): void;
}

/** `next` gets the encoded bytes; `drained` is called when more may come after `data` returned false. */
export function encoding(next: EncodedReceiver, drained: () => void): Encoding {
  const gzip: Gzip = createGzip({ level: LEVEL });
  let over = false;
  running++;
  gzip.once('close', () => {
    running--;
  });
  gzip.on('data', (chunk: Buffer) => {
    if (!over && !next.data(chunk)) gzip.pause();
  });
  gzip.on('drain', drained);
  gzip.on('end', () => {
    if (!over) next.end();
  });
  const stop = () => {
    over = true;
    gzip.destroy();
  };
  return {
    data: (chunk) => gzip.write(chunk),
    end: () => void gzip.end(),
    fail(error) {
      if (over) return;
      stop();
      next.fail(error);
    },
    resume: () => void gzip.resume(),
    destroy: stop,
  };
}
