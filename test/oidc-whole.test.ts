import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../src/config/settings.ts';
import { Browser } from './support/cookie-jar.ts';
import { startOidcProvider, type TestOidcProvider } from './support/oidc-provider.ts';
import { configured } from './support/oidc-rig.ts';
import { freePort } from './support/ports.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

let promgate: TestPromgate;
let provider: TestOidcProvider;
let upstream: StrictUpstream;

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  const port = await freePort();
  const externalUrl = `http://127.0.0.1:${port}/promgate`;
  provider = await startOidcProvider([`${externalUrl}/login/oidc/main/callback`]);
  const rules = [{ claim: 'groups', value: 'shop-team', gives: { role: 'reporter', on: 'acme/shop' } }] as const;
  const settings: Partial<Settings> = {
    listen: { host: '127.0.0.1', port },
    externalUrl,
    oidc: { providers: [configured(provider, { label: 'the company', rules })] },
  };
  const servers = [{ name: 'main', url: upstream.url }];
  const environments = [{ name: 'production' }];
  const projects = ['acme/shop', 'acme/bank'].map((path) => ({ path, servers, environments }));
  promgate = await startTestPromgate({ resources: JSON.stringify({ groups: [{ path: 'acme' }], projects }), settings });
});

afterAll(async () => {
  await promgate?.close();
  await provider?.stop();
  await upstream?.stop();
});

describe('somebody who signs in with a provider, below a path', () => {
  const ask = (browser: Browser, target: string) => browser.get(`${promgate.endpoint(target)}/api/v1/query?query=up`);

  it('comes by the sign-in page to the first page, and may ask what the groups there open, at once', async () => {
    provider.signsIn({ sub: 's1', claims: { preferred_username: 'anna', groups: ['shop-team'] } });
    const browser = new Browser();
    const signIn = await browser.get(`${promgate.url}/promgate/login?return_to=%2Fpromgate%2F%3Fx%3D1`);
    const href = /href="([^"]+)">Sign in with the company</.exec(signIn.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const first = await browser.follow(`${promgate.url}${href}`);
    expect(first).toMatchObject({ status: 200, url: `${promgate.url}/promgate/?x=1` });
    expect(first.text).toContain('anna');
    expect(first.text).toContain('acme/shop');
    expect((await ask(browser, 'acme/shop:production')).status).toBe(200);
    expect((await ask(browser, 'acme/bank:production')).status).toBe(404);
  });

  it('may ask nothing any more once the groups are gone', async () => {
    provider.signsIn({ sub: 's1', claims: { preferred_username: 'anna', groups: [] } });
    const browser = new Browser();
    await browser.follow(`${promgate.url}/promgate/login/oidc/main`);
    expect((await ask(browser, 'acme/shop:production')).status).toBe(404);
  });

  it('is told by a page where there is no such provider', async () => {
    const { status, text } = await new Browser().get(`${promgate.url}/promgate/login/oidc/other`);
    expect(status).toBe(404);
    expect(text).toContain('There is no such way to sign in');
  });
});
