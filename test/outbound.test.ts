import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Promgate, startPromgate } from '../src/app.ts';
import { createLog } from '../src/ops/log.ts';
import { openDatabase } from '../src/storage/database.ts';
import { type Answer, ask } from './support/ask.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { answers, redirectsTo, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

/** Ways to write 127.0.0.1 in a URL, and names of it. */
const ways = {
  dotted: '127.0.0.1',
  dot: '127.0.0.1.',
  decimal: '2130706433',
  octal: '0177.0.0.1',
  'octal-whole': '017700000001',
  hex: '0x7f.0.0.1',
  'hex-whole': '0x7F000001',
  mixed: '0x7f.000.1',
  short: '127.1',
  'full-width': '１２７.０.０.１',
  'other-dots': '127。0．0｡1',
  circled: '①②⑦.0.0.①',
  percent: '%31%32%37%2e0.0.1',
  any: '0.0.0.0',
  zero: '0',
  name: 'localhost',
  'name-upper': 'LOCALHOST',
  'name-full-width': 'ｌｏｃａｌｈｏｓｔ',
};
/** Where they may not lead to this machine everywhere. */
const more = {
  loopback: '[::1]',
  unspecified: '[::]',
  mapped: '[::ffff:127.0.0.1]',
  compatible: '[::127.0.0.1]',
  nat64: '[64:ff9b::127.0.0.1]',
  '6to4': '[2002:7f00:1::]',
  metadata: '169.254.169.254',
};

let upstream: StrictUpstream;
let promgate: TestPromgate;
let token: TestToken;
/** Of the log. */
let lines: string[];

const port = () => new URL(upstream.url).port;
const environment = (name: string, host: string) => ({ name, servers: [{ name, url: `http://${host}:${port()}` }] });

/** Marks every server as set by somebody other than an administrator. */
async function restrict(): Promise<void> {
  const database = await openDatabase(promgate.settings);
  try {
    await database.write((trx) => trx.updateTable('servers').set({ restricted: 1 }).execute());
  } finally {
    await database.close();
  }
}

function query(name: string, base = promgate.url): Promise<Answer> {
  const path = new URL(promgate.endpoint(`acme/shop:${name}`)).pathname;
  return ask(`${base}${path}/api/v1/query?query=up`, { headers: { authorization: token.basic } });
}

/** Asks until the answer has the status; the gateway knows of a change within a second. */
async function until(status: number, name: string): Promise<void> {
  while ((await query(name)).status !== status) await delay(25);
}

const refusal = (name: string) => ({
  status: 'error',
  errorType: 'unavailable',
  error: `server "${name}" may not be asked: its address is not public, and outbound.allow does not allow it`,
});

async function start(database: (typeof dialects)[number] = 'sqlite'): Promise<void> {
  lines = [];
  upstream = await startStrictUpstream(answers());
  const environments = Object.entries({ ...ways, ...more }).map(([name, host]) => environment(name, host));
  promgate = await startTestPromgate({
    resources: JSON.stringify({ projects: [{ path: 'acme/shop', environments }] }),
    settings: { cache: { memory: 0 }, limits: { timeout: 5_000 } },
    database,
    log: createLog('debug', (line) => lines.push(line)),
  });
  token = await promgate.token('acme/shop');
}

async function stop(): Promise<void> {
  await promgate?.close();
  await upstream?.stop();
}

describe.each(dialects)('a server of this machine (%s)', (dialect) => {
  beforeAll(() => start(dialect));
  afterAll(stop);

  it('is asked, however its URL is written, where a file set it', async () => {
    for (const name of Object.keys(ways)) expect([name, (await query(name)).status]).toEqual([name, 200]);
    expect(upstream.requests).toHaveLength(Object.keys(ways).length);
  });

  it('is never asked, however its URL is written, where somebody other than an administrator set it', async () => {
    await restrict();
    await until(503, 'dotted');
    // Connections from before are closed.
    while (upstream.connections() > 0) await delay(25);
    const before = upstream.requests.length;
    for (const name of Object.keys({ ...ways, ...more })) {
      const { status, body } = await query(name);
      expect([status, JSON.parse(body)]).toEqual([503, refusal(name)]);
    }
    expect(upstream.requests).toHaveLength(before);
    expect(upstream.connections()).toBe(0);
  });

  it('has its address told to operators alone', async () => {
    const line = lines.findLast((line) => line.includes('PROMGATE_OUTBOUND') && line.includes('localhost')) ?? '';
    expect(line).toContain('127.0.0.1');
    expect((await query('name')).body).not.toContain('127.0.0.1');
  });
});

describe('outbound.allow', () => {
  let another: Promgate;
  const allowing = (allow: string[]) => ({ ...promgate.settings, outbound: { allow } });

  beforeAll(async () => {
    await start();
    await restrict();
    another = await startPromgate(allowing([]));
  });
  afterAll(async () => {
    await another?.close();
    await stop();
  });

  it('opens a network, whatever way its addresses are written, from the next reload on', async () => {
    expect((await query('dotted', another.url)).status).toBe(503);
    another.reload(allowing(['127.0.0.0/8']));
    const closed = new Set(['any', 'zero']);
    for (const name of Object.keys(ways).filter((name) => !name.startsWith('name'))) {
      expect([name, (await query(name, another.url)).status]).toEqual([name, closed.has(name) ? 503 : 200]);
    }
  });

  it('opens a host by its name, in all its writings, and not its address', async () => {
    another.reload(allowing(['localhost']));
    for (const name of Object.keys(ways)) {
      expect([name, (await query(name, another.url)).status]).toEqual([name, name.startsWith('name') ? 200 : 503]);
    }
  });

  it('closes again with the reload that takes an entry away, also for connections that are kept alive', async () => {
    another.reload(allowing(['127.0.0.0/8']));
    expect((await query('dotted', another.url)).status).toBe(200);
    another.reload(allowing([]));
    const before = upstream.requests.length;
    expect((await query('dotted', another.url)).status).toBe(503);
    expect(upstream.requests).toHaveLength(before);
  });

  it.each(['301 Moved Permanently', '302 Found', '303 See Other', '307 Temporary Redirect', '308 Permanent Redirect'])(
    'does not open what an allowed server redirects to: %s is not followed',
    async (status) => {
      const inside = await startStrictUpstream(answers('{"status":"success","data":"secret"}'));
      try {
        another.reload(allowing(['127.0.0.1/32']));
        upstream.play(redirectsTo(`${inside.url}/api/v1/query?query=up`, status));
        const answer = await query('dotted', another.url);
        expect(answer.status).toBe(503);
        expect(JSON.parse(answer.body).error).toBe(
          `server "dotted" answered with a redirect (${status.slice(0, 3)}), which is not followed`,
        );
        expect(inside.connections()).toBe(0);
        expect(inside.requests).toEqual([]);
      } finally {
        upstream.play(answers());
        await inside.stop();
      }
    },
  );
});
