import { expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

it('what alerts look at is there with 0 before anything happens, and counts on from there', async () => {
  const metrics = createMetrics(
    '0',
    () => null,
    () => ({ bytes: 0, entries: 0 }),
  );
  const shown = async () =>
    (await metrics.text()).split('\n').filter((line) => /^promgate_(cache_requests|cache_shadow_checks|guard_rej)/.test(line));
  const lines = (mismatches: number) => [
    'promgate_guard_rejections_total{reason="verification"} 0',
    ...['hit', 'partial', 'miss', 'bypass', 'coalesced'].map((result) => `promgate_cache_requests_total{result="${result}"} 0`),
    'promgate_cache_shadow_checks_total{result="match"} 0',
    `promgate_cache_shadow_checks_total{result="mismatch"} ${mismatches}`,
    'promgate_cache_shadow_checks_total{result="skipped"} 0',
  ];
  expect(await shown()).toEqual(lines(0));
  metrics.cacheCompared('mismatch');
  expect(await shown()).toEqual(lines(1));
});
