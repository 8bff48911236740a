import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectConfined, expectNoTrace, type GuardRig, startGuardRig } from '../support/guard-rig.ts';
import { at } from './attempt.ts';

describe('the replacement character', () => {
  let rig: GuardRig;
  beforeAll(async () => {
    rig = await startGuardRig();
  });
  afterAll(() => rig?.close());

  it.each([
    String.raw`up{a="\ufffd"}`,
    String.raw`up{a!="\ufffd"}`,
    String.raw`up{a=~"x|\ufffd|y"}`,
    String.raw`up{a='\U0000fffd'}`,
    String.raw`up{a="\xef\xbf\xbd"}`,
    String.raw`label_replace(up, "x", "\ufffd", "job", ".*")`,
    String.raw`count_values("v", up{job!="\ufffd"}) or up{job="\ufffd"}`,
  ])('written as an escape is as good as any other on a confined server: %s', async (text) => {
    for (const environment of ['prometheus', 'several', 'prefixed']) {
      rig.recorders.prometheus.take();
      const reply = await rig.send(environment, '/api/v1/query', at(text));
      expectNoTrace(reply, text);
      expect({ environment, status: reply.status, body: reply.body }).toMatchObject({ environment, status: 200 });
      if (environment === 'prometheus') expect(await expectConfined(rig, rig.recorders.prometheus.take())).toBeGreaterThan(0);
    }
  });

  it('matches what it matches on the server itself', async () => {
    const reply = await rig.send('prometheus', '/api/v1/query', at(String.raw`up{job!="\ufffd"}`));
    expect(JSON.parse(reply.body).data.result).toHaveLength(2);
  });
});
