import Fastify from 'fastify';
import { expect, it } from 'vitest';
import { Directory } from '../directory/snapshot.ts';
import type { PromgateError } from '../errors.ts';
import { openPageScope, type PageScopeParts } from './scope.ts';

it('a mistake of ours is a page that says where to look, and no more; the log has the rest', async () => {
  const logged: [fields: object, error: PromgateError | null][] = [];
  const counted: unknown[] = [];
  const parts: PageScopeParts = {
    directory: () => new Directory(),
    refresh: async () => {},
    activity: { lastSeen: () => 0, note: () => {} },
    settings: () => ({
      externalUrl: 'http://localhost/base',
      basePath: '/base',
      sessions: { idle: 1, lifetime: 1 },
      isTrustedProxy: () => false,
      providers: [],
    }),
    metrics: { request: (...given) => counted.push(given) },
    log: { request: (fields, error) => logged.push([fields(), error]) },
    stopping: () => true,
  };
  const app = Fastify({ genReqId: () => 'r-17' });
  openPageScope(app, parts);
  app.get('/', () => {
    throw new Error('password of the database');
  });
  const answer = await app.inject('/');
  await app.close();
  expect(answer.statusCode).toBe(500);
  expect(answer.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'x-request-id': 'r-17',
    connection: 'close',
  });
  expect(answer.body).toContain('the request id r-17');
  expect(answer.body).toContain('href="/base/"');
  expect(answer.body).not.toContain('password');
  expect(logged).toMatchObject([
    [
      { requestId: 'r-17', endpoint: 'page', status: 500 },
      { code: 'internal', operator: expect.stringContaining('password of the database') },
    ],
  ]);
  expect(counted).toEqual([['page', 500, expect.any(Number)]]);
});
