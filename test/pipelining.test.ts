import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CrowdRig, startCrowdRig } from './support/crowd-rig.ts';
import { answers } from './support/strict-upstream.ts';

/** Requests that do not wait for the answers to those before them on their connection. */
const AT_ONCE = 2;
const rows = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => [1_748_764_800 + 15 * index, '123456.789012345678']));
const series = Array.from({ length: 50 }, (_, index) => `{"metric":{"n":"${index + 10}"},"values":${rows}}`);
/** Far more than the system takes for a client that does not read. */
const large = `{"status":"success","data":{"resultType":"matrix","result":[${series.join(',')}]}}`;
const path = `/api/v1/query_range?query=up&start=1748764800&end=${1_748_764_800 + 15 * 9_999}&step=15`;

let rig: CrowdRig;
beforeAll(async () => {
  rig = await startCrowdRig({ cache: { memory: 1024 * 1024 * 1024 }, limits: { tokenConcurrency: AT_ONCE } });
  rig.upstream.play(answers(large));
});
afterAll(() => rig?.close());

describe('a client that asks twice at once, reads nothing and leaves', () => {
  it('leaves nothing behind, not even of the answer whose turn had not come', { timeout: 120_000 }, async () => {
    const token = await rig.promgate.token('acme/shop');
    expect((await rig.ask(path, { token })).status).toBe(200);
    const url = new URL(rig.promgate.endpoint('acme/shop:production') + path);
    const request = `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: ${token.basic}\r\n\r\n`;
    const expectStatus = (status: number) =>
      vi.waitFor(async () => expect((await rig.ask('/api/v1/labels', { token })).status).toBe(status), 20_000);
    for (let round = 0; round < AT_ONCE; round++) {
      const socket = connect(Number(url.port), url.hostname);
      await once(socket, 'connect');
      socket.write(request + request);
      // Both are let in: a third is one too many.
      await expectStatus(429);
      socket.destroy();
    }
    await expectStatus(200);
  });
});
