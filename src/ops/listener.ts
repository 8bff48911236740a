/** The operators' listener: metrics, health and purges of the cache, apart from the gateway so that it need not be reachable from outside. */
import Fastify, { type FastifyInstance } from 'fastify';
import type { Metrics } from './metrics.ts';
import { type OpsPurgeParts, opsPurge } from './purge.ts';

/** `ready` is false while stopping and while changes of the directory do not arrive. */
export function createOpsListener(metrics: Metrics, ready: () => boolean, purge: OpsPurgeParts): FastifyInstance {
  // A scraper's idle connection must not hold up a stop.
  const app = Fastify({ forceCloseConnections: true });
  app.get('/metrics', async (_request, reply) => {
    metrics.setReady(ready());
    return reply.type(metrics.contentType).send(await metrics.text());
  });
  app.get('/-/healthy', (_request, reply) => reply.type('text/plain; charset=utf-8').send('Promgate is Healthy.\n'));
  app.get('/-/ready', (_request, reply) => {
    const isReady = ready();
    return reply
      .code(isReady ? 200 : 503)
      .type('text/plain; charset=utf-8')
      .send(isReady ? 'Promgate is Ready.\n' : 'Promgate is not ready.\n');
  });
  app.register(opsPurge(purge));
  return app;
}
