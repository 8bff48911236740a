import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { filterAlerts, filterRules } from '../src/gateway/filter-rules.ts';
import type { Scope } from '../src/guard/scope.ts';
import { ask } from './support/ask.ts';
import type { TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { startVmalert } from './support/vmalert.ts';

/** As in `filters.test.ts`: what is of the other tenant has "secret" in it or a value that begins with a 7. */
const scope: Scope = [{ label: 'namespace', values: ['shop-prod'] }];
const foreign = /secret|"7/i;
const own = { namespace: 'shop-prod' };
const others = { namespace: 'secret-b' };

function dataOf(body: unknown): unknown {
  return (body as { data: unknown }).data;
}

function errorOfBroken(body: unknown): string | undefined {
  const { groups } = dataOf(body) as { groups: { rules: { name: string; lastError?: string }[] }[] };
  return groups.flatMap((group) => group.rules).find((rule) => rule.name === 'shop:broken')?.lastError;
}

describe('a shared VictoriaMetrics with vmalert', () => {
  let vmalert: TestServer;
  let promgate: TestPromgate;

  beforeAll(async () => {
    const each = (value: string): string => `label_set(vector(${value}), "namespace"`;
    vmalert = await startVmalert({
      rules: [
        {
          name: 'mixed',
          labels: { team: 'shared' },
          params: { nocache: ['secret'] },
          rules: [
            { alert: 'Own', expr: 'vector(1)', labels: own, annotations: { summary: 'own {{ $value }}' } },
            { alert: 'Secret', expr: 'vector(777)', labels: others },
            { alert: 'All', expr: `${each('1')}, "shop-prod") or ${each('777')}, "secret-b")` },
            // Only the error text has the word, not the query.
            {
              record: 'shop:broken',
              expr: 'union(label_set(1, "zone", "se" + "cret-1"), label_set(1, "zone", "se" + "cret-2")) * on () 1',
              labels: own,
            },
          ],
        },
      ],
    });
    await vi.waitFor(async () => {
      const { alerts } = dataOf(await asked('alerts')) as { alerts: { state: string }[] };
      expect(alerts.map(({ state }) => state)).toEqual(['firing', 'firing', 'firing', 'firing']);
      expect(errorOfBroken(await asked('rules'))).toMatch(foreign);
    }, 60_000);
    promgate = await startTestPromgate({
      resources: JSON.stringify({
        servers: [{ name: 'shared', url: vmalert.url, enforce: { namespace: '{{kube_namespace}}' } }],
        projects: [{ path: 'acme/shop', environments: [{ name: 'production', kube_namespace: 'shop-prod' }] }],
      }),
    });
  });

  afterAll(async () => {
    await promgate?.close();
    await vmalert?.stop();
  });

  async function asked(path: string): Promise<unknown> {
    return JSON.parse((await ask(`${vmalert.url}/api/v1/${path}`)).body);
  }

  const alert = (name: string): unknown =>
    expect.objectContaining({ state: 'firing', name, value: '1', labels: expect.objectContaining(own) });

  function expectOwn(rules: unknown, alerts: unknown): void {
    expect(JSON.stringify([rules, alerts])).not.toMatch(foreign);
    expect(alerts).toEqual({ status: 'success', data: { alerts: expect.toSatisfy((list) => list.length === 2) } });
    expect(dataOf(alerts)).toEqual({ alerts: expect.arrayContaining([alert('Own'), alert('All')]) });
    const error = expect.stringContaining('this rule failed');
    expect(rules).toEqual({
      status: 'success',
      data: {
        groups: [
          {
            name: 'mixed',
            file: expect.any(String),
            interval: 1,
            lastEvaluation: expect.any(String),
            rules: [
              expect.objectContaining({ name: 'Own', query: 'vector(1)', state: 'firing', alerts: [alert('Own')] }),
              expect.objectContaining({ name: 'shop:broken', health: 'err', lastError: error }),
            ],
          },
        ],
      },
    });
  }

  it("shows the environment's own rules and alerts, without the group's settings, links and the queries of others", async () => {
    const [rules, alerts] = await Promise.all([asked('rules'), asked('alerts')]);
    // Else the test could not fail.
    for (const body of [rules, alerts]) expect(JSON.stringify(body)).toMatch(foreign);
    expectOwn(filterRules(rules, scope), filterAlerts(alerts, scope));
  });

  it('shows the same through an endpoint, and no metadata', async () => {
    const token = await promgate.token('acme/shop:production');
    const through = async (path: string): Promise<unknown> => {
      const url = `${promgate.endpoint('acme/shop:production')}/api/v1/${path}`;
      const { status, body } = await ask(url, { headers: { authorization: token.basic } });
      expect(status, body).toBe(200);
      return JSON.parse(body);
    };
    expectOwn(await through('rules'), await through('alerts'));
    expect(await through('metadata')).toEqual({ status: 'success', data: {} });
  });
});
