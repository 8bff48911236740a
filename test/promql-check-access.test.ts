import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../src/storage/database.ts';
import { ask } from './support/ask.ts';
import { belowPath, type CheckRig, checkPath, environment, type Sent, startCheckRig } from './support/check-rig.ts';
import { startTestPromgate, type TestToken } from './support/promgate.ts';

/** `POST /-/api/v1/promql/check`: who may ask, what a request must be, how it counts. */
let rig: CheckRig;
beforeAll(async () => {
  rig = await startCheckRig();
});
afterAll(() => rig?.close());

describe('access', () => {
  const query = (name: string) => JSON.stringify({ query: 'up', environment: name });
  const problem = async (sent: Sent) => {
    const answer = await rig.send(sent);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
  };

  it('is by Basic with the token’s username, or Bearer', async () => {
    for (const authorization of [rig.token.basic, `Bearer ${rig.token.token}`]) {
      expect((await rig.send({ body: query(environment('open')), headers: { authorization } })).status).toBe(200);
    }
  });

  it('without a valid token is 401 with WWW-Authenticate, in one text for all', async () => {
    const expired = await rig.promgate.token('acme/shop');
    const database = await openDatabase(rig.promgate.settings);
    try {
      const over = { expires_at: Date.now() - 1 };
      await database.write((trx) => trx.updateTable('tokens').set(over).where('id', '=', expired.id).execute());
    } finally {
      await database.close();
    }
    // Changes arrive in order: where this one is known, so is the one before.
    const elsewhere = await rig.promgate.token('acme/shop', { allowedNetworks: ['192.0.2.0/24'] });
    const otherName = Buffer.from(`token-999:${rig.token.token}`).toString('base64');
    const bad = [
      '',
      'Bearer nonsense',
      `Bearer ${'promgate_'.padEnd(47, 'a')}`,
      expired.basic,
      elsewhere.basic,
      `Basic ${otherName}`,
    ];
    for (const authorization of bad) {
      for (const body of [query(environment('open')), '{"query":"up"}', 'nonsense']) {
        const { status, headers, body: told } = await problem({ body, headers: authorization === '' ? {} : { authorization } });
        expect([status, headers.get('www-authenticate')]).toEqual([401, 'Basic realm="promgate"']);
        expect(told).toEqual({
          type: 'about:blank',
          title: 'Unauthorized',
          status: 401,
          detail: expect.stringContaining('a valid token is required'),
        });
      }
    }
  });

  it('for what does not exist and for what is not the token’s is the same 404', async () => {
    const own = await rig.promgate.token('acme/shop:open');
    const others = [
      'other/secret:production',
      'acme/shop:prometheus',
      'acme/shop',
      'acme',
      'acme/shop:nothing',
      'no/such:thing',
      ':',
      '',
    ];
    const told = await Promise.all(others.map((name) => problem({ body: query(name), headers: { authorization: own.basic } })));
    for (const { status, body } of told) {
      expect({ status, body }).toEqual({
        status: 404,
        body: {
          type: 'about:blank',
          title: 'Not Found',
          status: 404,
          detail: expect.stringContaining('or it is not yours to see'),
        },
      });
      expect(body).toEqual(told[0]?.body);
    }
    expect((await rig.send({ body: query('acme/shop:open'), headers: { authorization: own.basic } })).status).toBe(200);
  });

  it('other methods are 405 with Allow, for those with a token', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { status, headers } = await problem({ method, headers: { authorization: rig.token.basic } });
      expect([method, status, headers.get('allow')]).toEqual([method, 405, 'POST']);
      expect((await problem({ method })).status).toBe(401);
    }
    const head = await rig.send({ method: 'HEAD', headers: { authorization: rig.token.basic } });
    expect([head.status, await head.text()]).toEqual([405, '']);
  });

  it('a body over 1 MiB is 413, one of another type 415', async () => {
    const headers = { authorization: rig.token.basic };
    const largest = JSON.stringify({ query: 'x' });
    const padded = largest + ' '.repeat(1024 * 1024 - largest.length);
    expect((await rig.send({ body: padded, headers })).status).toBe(200);
    expect(await problem({ body: `${padded} `, headers })).toMatchObject({ status: 413, body: { title: 'Payload Too Large' } });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
      const { status } = await problem({ body: 'query=up', headers: { ...headers, 'content-type': type } });
      expect(status).toBe(415);
    }
  });

  it.each([
    ['nonsense', undefined],
    ['', undefined],
    ['{"query":"up"', undefined],
    ['{"query":"up","__proto__":{"a":"b"}}', undefined],
    ['[]', [{ pointer: '#', detail: 'must be a JSON object' }]],
    ['null', [{ pointer: '#', detail: 'must be a JSON object' }]],
    ['{}', [{ pointer: '#/query', detail: 'must be a text' }]],
    ['{"query":["up"]}', [{ pointer: '#/query', detail: 'must be a text' }]],
    [
      '{"query":"up","querry":1,"a/b~c d":2}',
      [
        { pointer: '#/querry', detail: 'unknown key' },
        { pointer: '#/a~1b~0c%20d', detail: 'unknown key' },
      ],
    ],
    ['{"query":"up","environment":7}', [{ pointer: '#/environment', detail: expect.stringContaining('must be a text') }]],
    ['{"query":"up","variables":{"a":1}}', [{ pointer: '#/variables/a', detail: 'must be a text' }]],
    ['{"query":"up","variables":["a"]}', [{ pointer: '#/variables', detail: 'must be an object of texts' }]],
    ['{"query":"up","start":"noon","end":true,"step":"1x"}', [{ pointer: '#/end', detail: 'must be a text or a number' }]],
    [
      '{"query":"up","start":"noon","end":1,"step":"1x"}',
      [
        { pointer: '#/start', detail: expect.stringContaining('RFC 3339') },
        { pointer: '#/step', detail: expect.stringContaining('duration') },
      ],
    ],
    ['{"query":"up","start":1}', [{ pointer: '#/end', detail: 'must be given together with start' }]],
    ['{"query":"up","end":1}', [{ pointer: '#/start', detail: 'must be given together with end' }]],
    ['{"query":"up","step":1}', [{ pointer: '#/step', detail: 'must be given together with start and end' }]],
    ['{"query":"up","time":1,"start":1,"end":2}', [{ pointer: '#/time', detail: expect.stringContaining('instant query') }]],
  ])('the body %j is 400, with a pointer to each fault', async (body, errors) => {
    const told = await problem({ body, headers: { authorization: rig.token.basic } });
    expect(told.status).toBe(400);
    expect(told.body).toMatchObject({ type: 'about:blank', title: 'Bad Request', status: 400 });
    expect(told.body.errors).toEqual(errors);
    expect(JSON.stringify(told.body)).not.toMatch(/node_modules|\.ts|FST_|ZodError/);
  });

  it('stands below the path of external_url, and nowhere else', async () => {
    const headers = { authorization: rig.token.basic };
    for (const at of [
      '/-/api/v1/promql/check',
      '/promgate//-/api/v1/promql/check',
      `${checkPath}/`,
      '/promgate/-/api/v1/promql',
      '/promgatex/-/api/v1/promql/check',
    ]) {
      expect((await rig.send({ at, body: '{"query":"up"}', headers })).status).toBe(404);
    }
    expect((await rig.send({ at: `${checkPath}?query=down`, body: '{"query":"up"}', headers })).status).toBe(200);
  });

  it('answers carry the request’s id and are not stored', async () => {
    const headers = { authorization: rig.token.basic, 'x-request-id': 'mine-7' };
    for (const body of ['{"query":"up"}', '{}']) {
      const answer = await rig.send({ body, headers });
      expect(answer.headers.get('x-request-id')).toBe('mine-7');
      expect([answer.headers.get('cache-control'), answer.headers.get('x-content-type-options')]).toEqual([
        'no-store',
        'nosniff',
      ]);
    }
  });
});

it('a check counts as a question of its token and environment, and is counted and logged as one', async () => {
  const limited = await startTestPromgate({
    resources: rig.resources,
    settings: { limits: { tokenRate: 0.01, environmentRate: 0.02 }, ...belowPath },
  });
  try {
    const [first, second, third] = [
      await limited.token('acme/shop:open'),
      await limited.token('acme/shop:open'),
      await limited.token('acme/shop:open'),
    ];
    const asks = (who: TestToken, name?: string) =>
      rig.send({
        to: limited,
        body: JSON.stringify({ query: 'up', ...(name && { environment: name }) }),
        headers: { authorization: who.basic },
      });
    expect((await asks(first)).status).toBe(200);
    const again = await asks(first);
    expect([again.status, Number(again.headers.get('retry-after')) > 0]).toEqual([429, true]);
    expect(again.headers.get('content-type')).toBe('application/problem+json');
    expect(await again.json()).toMatchObject({ title: 'Too Many Requests', detail: expect.stringContaining('limit token_rate') });
    expect((await asks(second, 'acme/shop:open')).status).toBe(200);
    const query = await ask(`${limited.endpoint('acme/shop:open')}/api/v1/query?query=up`, {
      headers: { authorization: third.basic },
    });
    expect(query).toMatchObject({ status: 429, body: expect.stringContaining('limit environment_rate') });
    const metrics = await ask(`${limited.opsUrl}/metrics`);
    expect(metrics.body).toContain('promgate_http_requests_total{endpoint="promql_check",code="429"} 1');
    expect(metrics.body).toContain('promgate_http_requests_total{endpoint="promql_check",code="200"} 2');
  } finally {
    await limited.close();
  }
});

it('a place among those that may run at once is given back', async () => {
  const narrow = await startTestPromgate({
    resources: rig.resources,
    settings: { limits: { tokenConcurrency: 1 }, ...belowPath },
  });
  try {
    const { basic } = await narrow.token('acme/shop');
    for (const body of [
      '{"query":"up"}',
      '{}',
      '{"query":"up","environment":"acme/shop:dead"}',
      '{"query":"up","environment":"acme/shop:prometheus"}',
      '{"query":"up"}',
    ]) {
      const answer = await rig.send({ to: narrow, body, headers: { authorization: basic } });
      await answer.text();
      expect(answer.status).toBe(body === '{}' ? 400 : 200);
    }
  } finally {
    await narrow.close();
  }
});
