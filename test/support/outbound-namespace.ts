/**
 * A program for a network of its own (`unshare --net`), where a public address leads to this machine: the system's own resolver asks a
 * DNS server there, and restricted servers are asked. It prints what came of each attempt as JSON.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { checkOutbound } from '../../src/upstream/outbound.ts';
import { createPools } from '../../src/upstream/pools.ts';
import { bindingOf } from './cache-question.ts';
import { startDns } from './dns.ts';

export const namespaceProgram = import.meta.filename;
const PUBLIC = '93.184.215.14';
const PORT = 9090;

/** What the names mean, one answer after another; the last one stays. */
const names: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'public.example': [[PUBLIC]],
  'inside.example': [['127.0.0.1']],
  'rebind-after-check.example': [[PUBLIC], ['127.0.0.1']],
  'rebind-after-lookup.example': [[PUBLIC], [PUBLIC], ['127.0.0.1']],
  'own.example': [['93.184.216.1']],
};

/** @param directory for the system's files, which are hidden under ours */
async function main(directory: string): Promise<void> {
  for (const [name, text] of [
    ['resolv.conf', 'nameserver 127.0.0.1\noptions timeout:20 attempts:1\n'],
    ['nsswitch.conf', 'hosts: files dns\n'],
    ['hosts', '127.0.0.1 localhost\n'],
  ] as const) {
    writeFileSync(join(directory, name), text);
    execFileSync('mount', ['--bind', join(directory, name), `/etc/${name}`]);
  }
  // All of a public network is this machine's, without being an address of an interface; another one is.
  for (const command of ['link set lo up', 'route add local 93.184.215.0/24 dev lo', 'address add 93.184.216.1/32 dev lo']) {
    execFileSync('ip', command.split(' '));
  }
  const dns = await startDns((name, before) => names[name]?.[before] ?? names[name]?.at(-1) ?? null, {
    address: '127.0.0.1',
    port: 53,
  });
  const http = createServer((request, response) => response.end(request.socket.localAddress)).listen(PORT, '0.0.0.0');
  await once(http, 'listening');
  const pools = createPools(() => []);
  const { server } = bindingOf();
  const results: Record<string, { check: string; answer: string; asked: number }> = {};
  for (const name of Object.keys(names)) {
    const url = `http://${name}:${PORT}`;
    const check = await checkOutbound(url, []).then(
      () => 'allowed',
      () => 'refused',
    );
    const pool = pools.for({ ...server, url, restricted: true });
    const answer = await pool.request({ method: 'GET', path: '/' }).then(
      ({ body }) => body.text(),
      (error: NodeJS.ErrnoException) => error.code ?? String(error),
    );
    results[name] = { check, answer, asked: dns.questions.filter((question) => question === `A ${name}`).length };
  }
  process.stdout.write(JSON.stringify({ results, violations: dns.violations }));
  process.exit();
}

if (import.meta.main) await main(process.argv[2] ?? '');
