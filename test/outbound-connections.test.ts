import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Server, Tls } from '../src/directory/model.ts';
import { PromgateError } from '../src/errors.ts';
import { checkOutbound, type Lookup } from '../src/upstream/outbound.ts';
import { createPools, type Pools } from '../src/upstream/pools.ts';
import { upstreamError } from '../src/upstream/trouble.ts';
import { bindingOf } from './support/cache-question.ts';
import { startDns } from './support/dns.ts';
import { createCertificates, type KeyPair } from './support/tls.ts';

const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

interface Listening {
  readonly port: number;
  /** Connections so far. */
  connections(): number;
}

/** Tells each client at which address it found it. */
async function listen(address: string, port = 0, tls: KeyPair | null = null): Promise<Listening> {
  const say: RequestListener = (request, response) => response.end(`here is ${request.socket.localAddress}`);
  const server = tls === null ? createServer(say) : createTlsServer(tls, say);
  let connections = 0;
  server.on('connection', () => {
    connections++;
  });
  server.listen(port, address);
  await once(server, 'listening');
  opened.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

function poolsOf(allow: () => readonly string[], lookup?: Lookup): Pools {
  const pools = createPools(allow, lookup);
  opened.push(() => pools.destroy());
  return pools;
}

function serverAt(url: string, { restricted = true, tls = {} }: { restricted?: boolean; tls?: Tls } = {}): Server {
  const { server } = bindingOf();
  return { ...server, url, restricted, connection: { auth: null, headers: {}, queryParams: {}, tls } };
}

/** What the server says, or the error as the corridor tells it. */
async function ask(pools: Pools, server: Server): Promise<string> {
  try {
    const { body } = await pools.for(server).request({ method: 'GET', path: '/', reset: true });
    return await body.text();
  } catch (error) {
    const told = upstreamError(server, error as Error);
    expect(told).toBeInstanceOf(PromgateError);
    expect(told.message).not.toMatch(/\d|example/);
    return told.message;
  }
}

const notAllowed = 'server "main" may not be asked: its address is not public, and outbound.allow does not allow it';

describe('a name that changes its address (DNS rebinding)', () => {
  it('between the check of the record and the connection is refused at the connection', async () => {
    const inside = await listen('127.0.0.1');
    const dns = await startDns((_, before) => (before === 0 ? ['93.184.215.14'] : ['127.0.0.1']));
    opened.push(dns.stop);
    const url = `http://rebind.example:${inside.port}`;
    await checkOutbound(url, [], dns.lookup);
    expect(
      await ask(
        poolsOf(() => [], dns.lookup),
        serverAt(url),
      ),
    ).toBe(notAllowed);
    expect(inside.connections()).toBe(0);
    expect(dns.questions.toSorted()).toEqual([...twice('A rebind.example'), ...twice('AAAA rebind.example')]);
    expect(dns.violations).toEqual([]);
  });

  it('between the check of the address and the connection to it changes nothing: it is resolved once', async () => {
    const allowed = await listen('127.0.0.1');
    const inside = await listen('127.0.0.2', allowed.port);
    const dns = await startDns((_, before) => (before === 0 ? ['127.0.0.1'] : ['127.0.0.2']));
    opened.push(dns.stop);
    const pools = poolsOf(() => ['127.0.0.1/32'], dns.lookup);
    const server = serverAt(`http://rebind.example:${allowed.port}`);
    expect(await ask(pools, server)).toBe('here is 127.0.0.1');
    expect(dns.questions.toSorted()).toEqual(['A rebind.example', 'AAAA rebind.example']);
    // The connection is closed: the next one goes by the name's new address.
    expect(await ask(pools, server)).toBe(notAllowed);
    expect([allowed.connections(), inside.connections()]).toEqual([1, 0]);
    expect(dns.violations).toEqual([]);
  });

  it.each([[['127.0.0.1', '127.0.0.2']], [['127.0.0.2', '127.0.0.1']], [['127.0.0.1', '::1']], [['93.184.215.14', '127.0.0.2']]])(
    'or has several, %j, is connected to only where all are allowed',
    async (addresses) => {
      const allowed = await listen('127.0.0.1');
      const inside = await listen('127.0.0.2', allowed.port);
      const dns = await startDns(() => addresses);
      opened.push(dns.stop);
      const server = serverAt(`http://rebind.example:${allowed.port}`);
      expect(
        await ask(
          poolsOf(() => ['127.0.0.1/32'], dns.lookup),
          server,
        ),
      ).toBe(notAllowed);
      expect([allowed.connections(), inside.connections()]).toEqual([0, 0]);
    },
  );

  it('may do so where the list names it, and is told apart where it is gone', async () => {
    const one = await listen('127.0.0.1');
    const two = await listen('127.0.0.2', one.port);
    const answers = [['127.0.0.1'], ['127.0.0.2'], null];
    const dns = await startDns((_, before) => answers[before] ?? null);
    opened.push(dns.stop);
    const pools = poolsOf(() => ['rebind.example'], dns.lookup);
    const server = serverAt(`http://rebind.example:${one.port}`);
    expect(await ask(pools, server)).toBe('here is 127.0.0.1');
    expect(await ask(pools, server)).toBe('here is 127.0.0.2');
    expect(await ask(pools, server)).toBe('server "main" cannot be reached: its name does not resolve');
    expect(two.connections()).toBe(1);
  });

  it('has all its allowed addresses tried', async () => {
    const { port } = await listen('127.0.0.2');
    // Nobody listens at the first one, whatever other tests do with this port.
    const dns = await startDns(() => ['127.0.0.3', '127.0.0.2']);
    opened.push(dns.stop);
    const server = serverAt(`http://rebind.example:${port}`);
    expect(
      await ask(
        poolsOf(() => ['127.0.0.0/8'], dns.lookup),
        server,
      ),
    ).toBe('here is 127.0.0.2');
  });
});

describe('a connection of a restricted server', () => {
  it('that was kept alive under another list is not used any longer, one of other servers is', async () => {
    const { port, connections } = await listen('127.0.0.1');
    let allow = ['127.0.0.1/32'];
    const pools = poolsOf(() => allow);
    const servers = [serverAt(`http://127.0.0.1:${port}`), serverAt(`http://127.0.0.1:${port}`, { restricted: false })];
    const all = async () => {
      for (const server of servers) {
        const pool = pools.for(server);
        const { body } = await pool.request({ method: 'GET', path: '/' });
        await body.text();
        // undici takes a turn before it uses a connection again.
        while (pool.stats.free === 0) await setImmediate();
      }
    };
    await all();
    await all();
    expect(connections()).toBe(2);
    allow = ['127.0.0.0/8'];
    await all();
    expect(connections()).toBe(3);
    allow = [];
    await expect(all()).rejects.toThrow('127.0.0.1 (127.0.0.1) is not in outbound.allow, and not public or');
    expect(await ask(pools, servers[1] as Server)).toBe('here is 127.0.0.1');
    expect(connections()).toBe(3);
  });

  it('that runs while the list changes is finished', async () => {
    let finish: () => void = () => undefined;
    const upstream = createServer((_, response) => {
      response.write('half, ');
      finish = () => response.end('whole');
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    opened.push(async () => upstream.close());
    let allow = ['127.0.0.1/32'];
    const pools = poolsOf(() => allow);
    const server = serverAt(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
    const { body } = await pools.for(server).request({ method: 'GET', path: '/' });
    allow = [];
    expect(await ask(pools, server)).toBe(notAllowed);
    finish();
    expect(await body.text()).toBe('half, whole');
  });
});

describe('TLS to a restricted server', () => {
  it('verifies the name of the URL, not the address, and against the server’s own CA', async () => {
    const certificates = await createCertificates();
    const good = await listen('127.0.0.1', 0, certificates.server);
    const strange = await listen('127.0.0.1', 0, certificates.stranger);
    const dns = await startDns(() => ['127.0.0.1']);
    opened.push(dns.stop);
    const pools = poolsOf(() => ['127.0.0.1/32'], dns.lookup);
    const tls = { ca: certificates.ca };
    const at = (host: string, port: number, more: Tls = {}) =>
      ask(pools, serverAt(`https://${host}:${port}`, { tls: { ...tls, ...more } }));
    expect(await at('localhost', good.port)).toBe('here is 127.0.0.1');
    expect(await at('127.0.0.1', good.port)).toBe('here is 127.0.0.1');
    expect(await at('other.example', good.port, { serverName: 'localhost' })).toBe('here is 127.0.0.1');
    expect(await at('other.example', good.port)).toContain('certificate is not accepted (ERR_TLS_CERT_ALTNAME_INVALID)');
    expect(await at('localhost', strange.port)).toContain('certificate is not accepted');
  });
});

function twice(text: string): string[] {
  return [text, text];
}
