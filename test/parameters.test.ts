import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { form } from './support/raw-client.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';

let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig({ server: { cache: { enabled: false } } });
});

afterAll(() => rig?.close());

const urlencoded = 'Content-Type: application/x-www-form-urlencoded';

/** The parameters that a GET of `path` makes the server see, without the timeout that Promgate always adds. */
async function asked(path: string): Promise<(readonly [string, string])[]> {
  const { params } = await rig.reaching(() => rig.send(`/api/v1/${path}`));
  return params.filter(([name]) => name !== 'timeout');
}

async function posted(path: string, body: string, headers = [urlencoded]): Promise<(readonly [string, string])[]> {
  const { params } = await rig.reaching(() => rig.send(`/api/v1/${path}`, { method: 'POST', headers, body }));
  return params.filter(([name]) => name !== 'timeout');
}

function multipart(fields: readonly (readonly [string, string])[], boundary = 'xYz'): { body: string; headers: string[] } {
  const parts = fields.map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return { body: `${parts.join('')}--${boundary}--\r\n`, headers: [`Content-Type: multipart/form-data; boundary=${boundary}`] };
}

async function expectRefused(path: string, shape: Parameters<StrictRig['send']>[1], text: string): Promise<void> {
  const before = rig.upstream.requests.length;
  const answer = await rig.send(`/api/v1/${path}`, shape);
  expect(answer.status).toBe(400);
  const { errorType, error } = JSON.parse(answer.body.toString());
  expect(errorType).toBe('bad_data');
  expect(error).toContain(text);
  expect(rig.upstream.requests.length).toBe(before);
}

describe('decoding', () => {
  it('takes every way to write a character for that character', async () => {
    expect(await asked('query?query=%75p%7Ba%3D%22%2B+%20%C3%A9%F0%9F%9A%80%22%7D')).toEqual([['query', 'up{a="+  é🚀"}']]);
    expect(await posted('query', 'qu%65ry=a%26b%3Dc%3B%25%00')).toEqual([['query', 'a&b=c;%\0']]);
    expect(await asked('query?&&query==up=&&')).toEqual([['query', '=up=']]);
    expect(await asked('series?match%5B%5D=up')).toEqual([['match[]', 'up']]);
  });
  it('happens once only', async () => {
    expect(await asked('query?query=%2575p%252B%2526')).toEqual([['query', '%75p%2B%26']]);
  });
  it('keeps names as they are: case and blanks matter', async () => {
    expect(await asked('query?query=up&Query=a&QUERY=b&query%20=c&%20query=d&query[]=e&query%00=f')).toEqual([['query', 'up']]);
  });
  it('reads multipart fields as they are, file fields not at all', async () => {
    const { body, headers } = multipart([
      ['query', 'a+b%20=é;&\n'],
      ['time', '1'],
    ]);
    expect(await posted('query', body, headers)).toEqual([
      ['query', 'a+b%20=é;&\n'],
      ['time', '1'],
    ]);
    const file = '--x\r\nContent-Disposition: form-data; name="query"; filename="q.txt"\r\n\r\nsecret\r\n--x--\r\n';
    expect(await posted('query', file, ['Content-Type: multipart/form-data; boundary=x'])).toEqual([]);
  });
  it('takes a body with a character set, and without any content', async () => {
    expect(await posted('query', 'query=up', [`${urlencoded}; charset=UTF-8`])).toEqual([['query', 'up']]);
    expect(await posted('query?query=up', '', [urlencoded])).toEqual([['query', 'up']]);
    expect(await posted('query?query=up', '', [])).toEqual([['query', 'up']]);
  });
});

describe('precedence', () => {
  it('of single values: the body over the URL', async () => {
    expect(await posted('query?query=up&time=1', 'query=down')).toEqual([
      ['query', 'down'],
      ['time', '1'],
    ]);
    const { body, headers } = multipart([['query', 'down']]);
    expect(await posted('query?query=up', body, headers)).toEqual([['query', 'down']]);
  });
  it('of match[]: all of them, those of the body first', async () => {
    expect(await posted('series?match[]=a&match[]=b', 'match[]=c&match[]=d&match[]=a')).toEqual(
      ['c', 'd', 'a', 'a', 'b'].map((selector) => ['match[]', selector]),
    );
  });
  it('of start_time and end_time: they stand for start and end', async () => {
    expect(await asked('query_range?query=up&start_time=1767225000&end_time=2026-01-01T00:00:00Z&step=60')).toEqual([
      ['query', 'up'],
      ['start', '1767225000'],
      ['end', '2026-01-01T00:00:00Z'],
      ['step', '60'],
    ]);
    expect(await asked('query?query=up&start_time=1')).toEqual([['query', 'up']]);
  });
});

describe('a parameter that is given twice', () => {
  it('counts once where both are the same', async () => {
    expect(await asked('query?query=up&query=%75p')).toEqual([['query', 'up']]);
  });
  it.each([
    ['query?query=up&query=down', 'query'],
    ['query?query=up&query=', 'query'],
    ['query?time=1&query=up&time=2', 'time'],
    ['query_range?query=up&start=1&start_time=2&end=3&step=1', 'start'],
    ['query?query=up&variables[a]=1&variables[a]=2', 'variables[a]'],
  ])('is refused where they differ: %s', async (path, name) => {
    await expectRefused(path, {}, `"${name}"`);
    const [endpoint = '', parameters = ''] = path.split('?');
    await expectRefused(endpoint, { method: 'POST', headers: [urlencoded], body: parameters }, `"${name}"`);
    const fields = parameters.split('&').map((pair): [string, string] => [pair.split('=')[0] ?? '', pair.split('=')[1] ?? '']);
    await expectRefused(endpoint, { method: 'POST', ...multipart(fields) }, `"${name}"`);
  });
});

describe('what Prometheus does not document never reaches the server', () => {
  const foreign = {
    dedup: 'true',
    partial_response: 'true',
    max_source_resolution: '5m',
    'storeMatch[]': 'x',
    nocache: '1',
    extra_label: 'ns=b',
    'extra_filters[]': '{ns="b"}',
    extra_filters: '{ns="b"}',
    tenant: 'b',
    'X-Scope-OrgID': 'b',
    latency_offset: '1ms',
    trace: '1',
    format: 'csv',
    dir: '/',
    __proto__x: '1',
  };

  it.each([
    ['query', { query: 'up', time: '1', limit: '5', lookback_delta: '1m', stats: 'all' }, ['start', 'end', 'step', 'match[]']],
    ['query_range', { query: 'up', start: '1', end: '2', step: '1', limit: '5' }, ['time', 'match[]']],
    ['query_exemplars', { query: 'up', start: '1', end: '2' }, ['time', 'timeout', 'limit']],
    ['series', { 'match[]': 'up', start: '1', end: '2', limit: '5' }, ['query', 'timeout']],
    ['labels', { 'match[]': 'up', start: '1', end: '2', limit: '5' }, ['query', 'timeout']],
    ['label/job/values', { 'match[]': 'up', start: '1', end: '2', limit: '5' }, ['query']],
    ['metadata', { metric: 'up', limit: '5', limit_per_metric: '1' }, ['query', 'match[]']],
    ['rules', { type: 'alert', 'rule_name[]': 'a', 'match[]': 'up' }, ['query', 'limit']],
    ['alerts', {}, ['query', 'limit', 'match[]']],
    ['status/buildinfo', {}, ['query', 'limit']],
    ['parse_query', { query: 'up' }, ['time']],
  ])('%s', async (path, own, others) => {
    const all = { ...own, ...foreign, ...Object.fromEntries(others.map((name) => [name, '1'])) };
    expect(Object.fromEntries(await asked(`${path}?${form(all)}`))).toEqual(own);
    if (/^(query|series|labels|parse)/.test(path)) {
      expect(Object.fromEntries(await posted(path, form(all)))).toEqual(own);
      const { body, headers } = multipart(Object.entries(all));
      expect(Object.fromEntries(await posted(`${path}?${form(foreign)}`, body, headers))).toEqual(own);
    }
  });

  it('nor does a header of the client', async () => {
    const headers = [
      'X-Scope-OrgID: other',
      'X-Forwarded-For: 10.0.0.1',
      'Forwarded: for=10.0.0.1',
      'Cookie: session=1',
      'Referer: https://example.com',
      'X-Prometheus-User: admin',
      'Te: trailers',
      'Proxy-Authorization: Basic eDp5',
      'Range: bytes=0-1',
      'If-None-Match: "x"',
    ];
    const { headers: sent } = await rig.reaching(() => rig.send('/api/v1/query?query=up', { headers }));
    const names = sent.map(([name]) => name.toLowerCase()).toSorted();
    expect(names).toEqual(['accept-encoding', 'connection', 'host']);
  });
});

describe('the timeout', () => {
  it.each([
    ['', '60'],
    ['&timeout=5s', '5'],
    ['&timeout=2.5', '2.5'],
    ['&timeout=1h', '60'],
    ['&timeout=0', '60'],
    ['&timeout=', '60'],
  ])('of query%s is told to the server as %s', async (given, expected) => {
    const { params } = await rig.reaching(() => rig.send(`/api/v1/query?query=up${given}`));
    expect(new Map(params).get('timeout')).toBe(expected);
  });
});

describe('bodies that are no parameters are refused', () => {
  it.each([
    ['raw bytes beyond ASCII', 'query=é', [urlencoded], 'percent-encoded'],
    ['control characters', 'query=a\x00b', [urlencoded], 'percent-encoded'],
    ['a semicolon', 'query=up;time=1', [urlencoded], 'semicolon'],
    ['a malformed encoding', 'query=%', [urlencoded], '"query"'],
    ['too many parameters', 'a=1&'.repeat(10_001), [urlencoded], '10000'],
    ['multipart without a boundary', '--x\r\n', ['Content-Type: multipart/form-data'], 'multipart'],
    [
      'multipart that ends early',
      '--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nup',
      ['Content-Type: multipart/form-data; boundary=x'],
      'multipart',
    ],
    ['no multipart at all', 'query=up', ['Content-Type: multipart/form-data; boundary=x'], 'multipart'],
  ])('%s', async (_, body, headers, text) => {
    await expectRefused('query', { method: 'POST', headers, body }, text);
  });

  it('more than 11,000 points, in Prometheus’ own words', async () => {
    await expectRefused('query_range?query=up&start=0&end=11001&step=1', {}, 'exceeded maximum resolution of 11,000 points');
    expect(await asked('query_range?query=up&start=0&end=11000&step=1')).toHaveLength(4);
  });
});
