/**
 * `make bench`: throughput through Promgate beside the server itself, vmauth and a bare Node proxy, as ratios of
 * interleaved rounds of one run; then a directory of 100,000 environments beside one of 10. Rates of different machines, or
 * of different runs, do not compare; ratios do.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../test/support/ports.ts';
import { tempDir } from '../test/support/temp-dir.ts';
import { captureAnswers } from './answers.ts';
import { type Contender, serve, startBareProxy, startPromgate, startVmauth } from './contenders.ts';
import { fillDirectory, writeScript } from './directory.ts';
import { queries, startGuardBench } from './guard.ts';
import { measure, measureCpu } from './load.ts';
import { LOAD_CORE, startPinned } from './pin.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 4);
/** Node optimizes what it has seen thousands of times; a proxy that has just started is not what one runs. */
const WARM_UP = 2 * SECONDS;
const SMALL = '/api/v1/query?query=small&time=1767229200';
const LARGE = '/api/v1/query_range?query=large&start=1767225600&end=1767229185&step=15';

const say = (line: string) => process.stderr.write(`${line}\n`);
const print = (line: string) => process.stdout.write(`${line}\n`);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Median (min–max) of the ratios round by round, so that a change of the machine's speed cancels out. */
function ratio(values: readonly number[], base: readonly number[]): string {
  const ratios = values.map((value, i) => value / (base[i] as number));
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
}

async function passThrough(title: string, path: string, contenders: readonly Contender[]): Promise<void> {
  const rates = contenders.map((): number[] => []);
  const costs = contenders.map((): number[] => []);
  say(`${title}: warming up …`);
  for (const { url, headers } of contenders) await measure({ url: url + path, headers, seconds: WARM_UP });
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { name, url, headers, pid }] of contenders.entries()) {
      const { rate, cpu } = await measureCpu(pid, { url: url + path, headers, seconds: SECONDS });
      rates[i]?.push(rate);
      costs[i]?.push(cpu);
      say(`${title}, round ${round + 1}/${ROUNDS}: ${name} ${rate.toFixed(0)}/s, ${cpu.toFixed(0)} µs of its core each`);
    }
  }
  const at = (values: number[][], name: string) =>
    values[contenders.findIndex((contender) => contender.name === name)] as number[];
  print(`\n${title}\n`);
  print('| | requests/s, median | × vmauth, median (min–max) | × the server itself | core time per request, vmauth ÷ it |');
  print('|---|---|---|---|---|');
  for (const { name } of contenders) {
    const rate = at(rates, name);
    const against = `${ratio(rate, at(rates, 'vmauth'))} | ${ratio(rate, at(rates, 'the server itself'))}`;
    const cost = name === 'the server itself' ? '' : ratio(at(costs, 'vmauth'), at(costs, name));
    print(`| ${name} | ${median(rate).toFixed(0)} | ${against} | ${cost} |`);
  }
}

async function directories(dir: string, upstream: string): Promise<void> {
  const sizes = [10, 100_000];
  const running: {
    origin: string;
    script: string;
    rates: number[];
    started: number;
    rss: number;
    stop: () => Promise<void>;
    pid: number;
  }[] = [];
  for (const size of sizes) {
    say(`a directory of ${size} environments and tokens …`);
    const dataDir = join(dir, `directory-${size}`);
    const entries = await fillDirectory(dataDir, upstream, size);
    const script = await writeScript(dir, entries, SMALL);
    const before = performance.now();
    const { origin, pid, stop } = await serve(dataDir);
    running.push({ origin, script, rates: [], started: (performance.now() - before) / 1000, rss: 0, stop, pid });
  }
  for (const { origin, script } of running) await measure({ url: origin, script, seconds: WARM_UP });
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of running) one.rates.push(await measure({ url: one.origin, script: one.script, seconds: SECONDS }));
    say(`directories, round ${round + 1}/${ROUNDS}`);
  }
  print('\nA large directory, ~1 KB answers, 1,000 of its endpoints asked in turn\n');
  print('| environments and tokens | requests/s, median | × 10 environments | start-up | peak memory |');
  print('|---|---|---|---|---|');
  for (const [i, one] of running.entries()) {
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${one.pid}/status`, 'utf8'))?.[1]) / 1024;
    const against = ratio(one.rates, running[0]?.rates ?? []);
    print(`| ${sizes[i]} | ${median(one.rates).toFixed(0)} | ${against} | ${one.started.toFixed(1)} s | ${peak.toFixed(0)} MB |`);
    await one.stop();
  }
}

async function guard(dir: string, upstream: string): Promise<void> {
  const { ways, stop } = await startGuardBench(dir, upstream);
  const rates = ways.map((): number[] => []);
  for (const { origin, script } of ways) await measure({ url: origin, script, seconds: WARM_UP });
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { origin, script }] of ways.entries())
      rates[i]?.push(await measure({ url: origin, script, seconds: SECONDS }));
    say(`the guard, round ${round + 1}/${ROUNDS}`);
  }
  await stop();
  const open = rates[0] as number[];
  print(`\n${queries.length} queries of dashboards in turn, ~1 KB answers\n`);
  print('| | requests/s, median | × without enforcement |');
  print('|---|---|---|');
  for (const [i, { name }] of ways.entries())
    print(`| ${name} | ${median(rates[i] as number[]).toFixed(0)} | ${ratio(rates[i] as number[], open)} |`);
  if (ways.length === 2) print('\nprom-label-proxy is not on PATH: not measured.');
}

const dir = await tempDir('bench');
try {
  say('answers of a real Prometheus …');
  const answers = await captureAnswers();
  const files = { small: join(dir.path, 'small'), large: join(dir.path, 'large') };
  await writeFile(files.small, answers.small);
  await writeFile(files.large, answers.large);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const program = join(import.meta.dirname, 'upstream.ts');
  const upstream = await startPinned(LOAD_CORE, process.execPath, [program, String(port), files.small, files.large], url);
  const contenders: Contender[] = [
    { name: 'the server itself', url, headers: {}, pid: upstream.pid, stop: upstream.stop },
    await startVmauth(dir.path, url),
    await startBareProxy(url),
    await startPromgate(dir.path, url),
  ];
  print(
    `${ROUNDS} rounds of ${SECONDS} s each after a warm-up, 32 connections; the proxy on one core, load and server on the other`,
  );
  await passThrough(`Passed through, ${answers.small.length} bytes`, SMALL, contenders);
  await passThrough(`Passed through, ${answers.large.length} bytes`, LARGE, contenders);
  await guard(dir.path, url);
  await directories(dir.path, url);
  for (const { stop } of contenders) await stop();
} finally {
  await dir.remove();
}
