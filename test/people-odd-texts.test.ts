/** Whatever stands where the control API expects a text, a name or a number: it is refused in words, never an error of ours. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Operation } from '../src/api/operation.ts';
import { operations } from '../src/api/operations/index.ts';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { samples } from './support/matrix-samples.ts';
import type { World } from './support/matrix-world.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const oddTexts = [
  'a\0b',
  '\ud800',
  '\r\nX-Injected: 1',
  "' or '1'='1",
  '%',
  '{{ci_project_path}}',
  '__proto__',
  'a'.repeat(5_000),
];
const oddNumbers = ['-1', '0', '01', '0x1', '1.5', '１', '9007199254740993', '9'.repeat(30), 'NaN'];

describe.each(dialects)('on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let admin: ApiUser;
  /** What is there of each kind that stands in paths or names; nothing is removed meanwhile. */
  let known: Record<string, string>;

  beforeAll(async () => {
    const servers = [{ name: 'main', url: 'http://127.0.0.1:9' }];
    promgate = await startTestPromgate({
      resources: JSON.stringify({
        groups: [{ path: 'acme' }],
        projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }],
      }),
      database,
    });
    api = await apiOf(promgate);
    admin = await api.user({ admin: true });
    const member = await (await api.user({ username: 'crew' })).join('acme', 'guest');
    const token = await admin.post('/tokens', { of: 'acme', name: 'test' });
    const server = await admin.get('/servers?of=acme/shop');
    known = {
      group: 'acme',
      project: 'acme/shop',
      environment: 'acme/shop:production',
      instance: 'instance',
      user: 'crew',
      member: String(member),
      token: String(token.body.id),
      server: String(server.body.items[0].id),
    };
  });
  afterAll(async () => {
    await api?.close();
    await promgate?.close();
  });

  function send({ method, path, about }: Operation, { text, query = {}, body }: Sent): Promise<ApiAnswer> {
    const params = new URLSearchParams(query);
    const given = { ...body };
    if (about.kind === 'named' && text !== undefined) {
      if (about.in === 'query') params.set(about.field, text);
      else given[about.field] = text;
    }
    const url = path.replaceAll(/\{\w+\}/g, encodeURIComponent(text ?? '1'));
    return admin.ask(method, `${url}?${params}`, { ifMatch: '*', ...(Object.keys(given).length > 0 ? { body: given } : {}) });
  }

  function bodyOf({ id }: Operation): Record<string, unknown> {
    const world = { newcomer: 'crew' } as World;
    return samples[id]?.body?.({ world, unique: 'unique', upstream: 'http://127.0.0.1:9' }) ?? {};
  }

  const naming = operations.filter(({ path, about }) => path.includes('{') || about.kind === 'named');
  it.each(naming)('$id finds nothing by it', async (operation) => {
    await each([...oddTexts, ...oddNumbers], async (odd) => {
      const { status, text } = await send(operation, { text: odd.toWellFormed(), body: bodyOf(operation) });
      expect([odd, [400, 404, 414].includes(status) || text]).toEqual([odd, true]);
    });
  });

  /** Those that leave what is there as they find it, or add to it. */
  const writing = operations.filter(({ method, body }) => body !== undefined && method !== 'DELETE');
  it.each(writing)('$id takes it for a value or says what is wrong with it', async (operation) => {
    const { about } = operation;
    const kind = about.kind === 'named' ? (about.kinds.at(-1) ?? '') : about.kind;
    const body = operation.id === 'signIn' ? { username: 'ada', password: 'x' } : bodyOf(operation);
    for (const field of Object.keys(body)) {
      await each([...oddTexts, 7, null, true, {}, ['\0'], { a: '\0' }], async (odd) => {
        const answer = await send(operation, { text: known[kind] ?? '1', body: { ...body, [field]: odd } });
        expect([field, odd, answer.status < 500 || answer.text]).toEqual([field, odd, true]);
        // Nothing that was sent comes out as a header.
        expect(answer.headers.get('x-injected')).toBeNull();
      });
    }
  });

  it.each(operations.filter(({ query }) => query !== undefined))('$id takes it for a parameter or says so', async (operation) => {
    const { about, query } = operation;
    const kind = about.kind === 'named' ? (about.kinds.at(-1) ?? '') : about.kind;
    const fields = Object.keys(query?.shape ?? {}).filter((name) => about.kind !== 'named' || name !== about.field);
    for (const field of [...fields, 'unknown', '__proto__']) {
      await each([...oddTexts, ...oddNumbers, ''], async (odd) => {
        const { status, text } = await send(operation, { text: known[kind] ?? '1', query: { [field]: odd } });
        expect([field, odd, status < 500 || text]).toEqual([field, odd, true]);
        if (!fields.includes(field)) expect([field, status]).toEqual([field, 400]);
      });
    }
  });

  it.each(['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}', '[]', '"x"', 'null', '{', '\0'])(
    'the body %s is refused',
    async (text) => {
      const answer = await admin.post('/users', text);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([400, 'application/problem+json']);
      expect(({} as { admin?: unknown }).admin).toBeUndefined();
    },
  );
});

interface Sent {
  /** For the parameter of the path, or the field that names what it is about. */
  readonly text?: string;
  readonly query?: Record<string, string>;
  readonly body?: Record<string, unknown>;
}

async function each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  await Promise.all(all.map(work));
}
