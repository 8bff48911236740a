import { expect } from 'vitest';
import { isBareSelector } from '../../src/guard/confine.ts';
import { check } from '../../src/promql/check.ts';
import { parse } from '../../src/promql/parse.ts';
import type { Params } from '../support/ask.ts';
import {
  type Carrier,
  comparable,
  expectConfined,
  expectNoTrace,
  type GuardRig,
  isDiscovery,
  type Reply,
  type SharedServer,
} from '../support/guard-rig.ts';
import type { Recorded } from '../support/recorder.ts';
import { own } from '../support/tenants.ts';

export interface Attempt {
  /**
   * Whether the answer must be the one of a server that holds a's data alone, to the question as the client wrote it: the
   * same series, or an error of the same kind. Default: yes.
   */
  readonly asAlone?: boolean;
  /** Whether large numbers count as traces. Default: yes. */
  readonly values?: boolean;
}

/** Endpoints that take GET only. */
const getOnly = /\/(?:metadata|rules|alerts|buildinfo|values)$/;

/**
 * An attack, in each way that its parameters can travel: no answer holds a trace of anybody but a, no server is asked
 * anything unconfined, and all answers are one.
 */
export async function attempt(
  rig: GuardRig,
  server: SharedServer,
  path: string,
  params: Params,
  { asAlone = true, values = true }: Attempt = {},
): Promise<Reply> {
  const carriers: Carrier[] = getOnly.test(path) ? ['GET'] : ['GET', 'POST', 'multipart'];
  rig.recorders[server].take();
  const [replies, alone] = await Promise.all([
    Promise.all(carriers.map((carrier) => rig.send(server, path, params, carrier))),
    asAlone ? rig.alone(server, path, params) : null,
  ]);
  for (const reply of replies) {
    expectNoTrace(reply, asked(path, params), values);
    expect(reply.status).toBeLessThan(500);
  }
  const sent = rig.recorders[server].take();
  if (server === 'victoria') {
    expectExtraFilters(sent);
    await expectConfined(rig, sent.filter(isPromql));
  } else await expectConfined(rig, sent);
  const [first, ...others] = replies;
  if (first === undefined) throw new Error('no reply');
  for (const other of others) expect(comparable(other)).toEqual(comparable(first));
  if (alone !== null) expect({ path, params, ...told(first) }).toEqual({ path, params, ...told(alone) });
  return first;
}

/** An instant query in the middle of the data. */
export const at = (query: string): Params => [
  ['query', query],
  ['time', '1748768400'],
];

/** A range query around it. */
export const around = (query: string): Params => [
  ['query', query],
  ['start', '1748767800'],
  ['end', '1748768400'],
  ['step', '60'],
];

/** What the client wrote, for `leaks`. */
export function asked(path: string, params: Params): string {
  return [decodeURIComponent(path), ...params.flat()].join('\n');
}

/** VictoriaMetrics confines natively, by what is sent beside the query. */
export function expectExtraFilters(sent: readonly Recorded[]): void {
  for (const request of sent) {
    if (isDiscovery(request)) continue;
    const { path, params } = request;
    const native = params.filter(([name]) => name.startsWith('extra_'));
    expect({ path, native }).toEqual({ path, native: [['extra_filters[]', `{${own.label}="${own.value}"}`]] });
  }
}

/** MetricsQL is left to VictoriaMetrics, which confines it itself. */
function isPromql({ params }: Recorded): boolean {
  return params.every(([name, text]) => {
    if (name !== 'query' && name !== 'match[]') return true;
    try {
      const expr = parse(text);
      check(expr, text);
      return name === 'query' || isBareSelector(expr);
    } catch {
      return false;
    }
  });
}

/** Which error of a bad request it is does not matter. */
function told(reply: { status: number; body: string }): object {
  return reply.status >= 400 ? { status: reply.status } : { told: comparable(reply) };
}
