/** What of an answer may be kept, as its head and its bytes tell. */
import type { Head } from '../upstream/head.ts';
import { BracketEnd } from './scan-bracket.ts';

/** Whether the answer may be kept as far as its head tells: a good one, in JSON, not encoded, and the server does not forbid it. */
export function isKeepable(head: Head): head is Head & { contentType: string } {
  return head.status === 200 && !head.gzip && !head.noStore && head.contentType?.startsWith('application/json') === true;
}

const SUCCESS = Buffer.from('{"status":"success",');
const NOT_PARTIAL = '"isPartial":false';
const LINE_END = /^\r?\n?$/;

/**
 * Whether a whole answer is good and complete: one object and nothing behind it, no warnings or remarks (`infos`), nothing
 * partial. Within a string a quote is written `\"`, so these words in quotes are a name or a whole value: one that merely has
 * such a value is not kept, either.
 */
export function isClean(body: Buffer): boolean {
  if (!body.subarray(0, SUCCESS.length).equals(SUCCESS)) return false;
  if (body.includes('"warnings"') || body.includes('"infos"')) return false;
  // A program on the way may cut an answer off and give it a length that fits.
  const end = new BracketEnd().find(body, 0, body.length);
  if (end === -1 || body.length - end > 2 || !LINE_END.test(body.toString('latin1', end))) return false;
  const partial = body.indexOf('"isPartial"');
  return partial === -1 || body.toString('latin1', partial, partial + NOT_PARTIAL.length) === NOT_PARTIAL;
}

/**
 * The moment, in Unix milliseconds by our clock, that the server's clock had surely reached when it was asked at `askedAt`. A
 * server whose clock is behind has data up to its own time only. `Date` has whole seconds, cut off.
 */
export function serverTime(head: Head, askedAt: number): number {
  const date = Date.parse(head.date ?? '');
  const behind = Number.isNaN(date) ? 0 : Date.now() - date;
  return behind > 0 ? askedAt - behind : askedAt;
}
