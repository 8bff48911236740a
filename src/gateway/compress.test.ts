import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { headOf } from '../cache/answer.ts';
import { type Encoding, encoding, isWorthwhile } from './compress.ts';

const head = headOf('application/json', null);
const nobody = { data: () => true, end: () => undefined, fail: () => undefined };

/** How many begin before there is no room; they leave at once. */
function fill(): number {
  const begun: Encoding[] = [];
  while (isWorthwhile(head) && begun.length < 1_000) begun.push(encoding(nobody, () => undefined));
  for (const each of begun) each.destroy();
  return begun.length;
}

describe('answers that are encoded at once', () => {
  it('are so many at most, whether their readers are slow, have left or had it all', async () => {
    const begun: Encoding[] = [];
    while (isWorthwhile(head) && begun.length < 1_000) begun.push(encoding(nobody, () => undefined));
    expect(begun.length).toBe(256);
    begun[0]?.destroy();
    begun[0]?.destroy();
    await expect.poll(() => isWorthwhile(head)).toBe(true);
    begun.push(encoding(nobody, () => undefined));
    expect(isWorthwhile(head)).toBe(false);
    for (const each of begun) each.end();
    // All places are free again.
    await expect.poll(fill).toBe(256);
  });

  it('are what was given', async () => {
    const chunks: Buffer[] = [];
    const ended = Promise.withResolvers<void>();
    const next = {
      data: (chunk: Buffer) => chunks.push(chunk) > 0,
      end: () => ended.resolve(),
      fail: () => ended.reject(new Error('failed')),
    };
    const encoded = encoding(next, () => undefined);
    encoded.data(Buffer.from('abc'.repeat(5_000)));
    encoded.end();
    await ended.promise;
    expect(gunzipSync(Buffer.concat(chunks)).toString()).toBe('abc'.repeat(5_000));
  });
});
