/**
 * The text of a token: `promgate_`, 32 random characters, 6 characters of checksum; 47 in all.
 *
 * The alphabet is `0-9A-Za-z` in that order. The checksum is the CRC-32 (ISO 3309, as in zlib and PNG) of the 41
 * characters before it, written in base 62 with the most significant digit first, padded with `0` to six. A secret
 * scanner finds candidates with `promgate_[0-9A-Za-z]{38}` and drops false ones by the checksum, without asking anyone.
 * 32 characters of 62 hold 190 bits.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const tokenPrefix = 'promgate_';
const personalPrefix = 'promgate_api_';
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 32;
const checksumLength = 6;
const form = /^promgate_[0-9A-Za-z]{38}$/;
const personalForm = /^promgate_api_[0-9A-Za-z]{38}$/;

/** A new token's text. */
export function newTokenText(): string {
  return newText(tokenPrefix);
}

/** A new personal token's text: `promgate_api_`, and the rest as of a token. Neither has the form of the other. */
export function newPersonalTokenText(): string {
  return newText(personalPrefix);
}

function newText(prefix: string): string {
  const body = prefix + randomCharacters(secretLength);
  return body + checksum(body);
}

/** Whether `text` has a token's form and its checksum holds; says nothing about whether such a token exists. */
export function isTokenText(text: string): boolean {
  return form.test(text) && isSound(text);
}

/** The same of a personal token. */
export function isPersonalTokenText(text: string): boolean {
  return personalForm.test(text) && isSound(text);
}

function isSound(text: string): boolean {
  const body = text.slice(0, -checksumLength);
  return text.endsWith(checksum(body));
}

/** What is stored of a token: SHA-256 of its text in lower-case hex. It needs no salt or stretching: it is random itself. */
export function hashToken(text: string): string {
  return hash('sha256', text);
}

/** Bytes from 248 (4 × 62) up are thrown away: the remainder of the others is evenly distributed. */
function randomCharacters(count: number): string {
  let text = '';
  while (text.length < count) {
    for (const byte of randomBytes(count)) {
      if (byte < 248 && text.length < count) text += alphabet.charAt(byte % 62);
    }
  }
  return text;
}

function checksum(body: string): string {
  let rest = crc32(body);
  let digits = '';
  for (let i = 0; i < checksumLength; i++) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}
