/** Looks at what changes while it is looked at. */
import { expect } from 'vitest';
import type { Answer, Params } from '../support/ask.ts';
import type { CacheRig } from '../support/cache-rig.ts';

/**
 * A range query through Promgate, whose every point must be what the server said of it before or after; gives `X-Promgate-Cache`.
 * Times are Unix seconds.
 */
export type Look = (query: string, start: number, end: number, step: number) => Promise<string>;

/** `metric at time` → the sample's text; an error is one point. */
function pointsOf({ status, body }: Answer): Map<string, string> {
  const { data, errorType } = JSON.parse(body);
  if (status !== 200) return new Map([['error', `${status} ${errorType}`]]);
  const points = new Map<string, string>();
  for (const { metric, values } of data.result) {
    for (const [time, value] of values) points.set(`${JSON.stringify(metric)} at ${time}`, value);
  }
  return points;
}

/** Points that came through and that the server said neither before nor after, and those that it said twice and that did not come. */
function strangers(seen: Answer, before: Answer, after: Answer): string[] {
  const [through, one, two] = [seen, before, after].map(pointsOf);
  const wrong: string[] = [];
  for (const key of new Set([...(through?.keys() ?? []), ...(one?.keys() ?? []), ...(two?.keys() ?? [])])) {
    const value = through?.get(key);
    if (value !== one?.get(key) && value !== two?.get(key))
      wrong.push(`${key}: ${value}, not ${one?.get(key)} or ${two?.get(key)}`);
  }
  return wrong;
}

/** Unix seconds; of an error, now. */
const timeOf = (point: string): number => Number(/ at ([\d.]+):/.exec(point)?.[1] ?? Date.now() / 1000);

/**
 * Looks once. Where two scrapes fall between the two looks at the server, a recent point may have been a third thing: looks again,
 * and gives what the first one was.
 */
export function looker(rig: CacheRig, recentWindow: number): Look {
  return async (query, start, end, step) => {
    const params: Params = [
      ['query', query],
      ['start', String(start)],
      ['end', String(end)],
      ['step', String(step)],
    ];
    let first: string | null = null;
    const giveUp = performance.now() + 15_000;
    for (;;) {
      const askedAt = Date.now();
      const before = await rig.direct('query_range', params);
      const seen = await rig.through('query_range', params);
      first ??= seen.cache;
      const wrong = strangers(seen, before, await rig.direct('query_range', params));
      if (wrong.length === 0) return first;
      const settled = wrong.filter((point) => timeOf(point) * 1000 < askedAt - recentWindow);
      if (settled.length > 0 || performance.now() > giveUp)
        expect(wrong, `${query} from ${start} to ${end} by ${step}: ${seen.cache}`).toEqual([]);
    }
  };
}
