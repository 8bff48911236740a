/** Answers of a real Prometheus as the bytes that it sent, from some hundred bytes to 50 MB; each is asked for once. */
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startPrometheus } from '../test/support/prometheus.ts';

const START = Date.UTC(2026, 0, 1) / 1000;
const STEP = 15;
const POINTS = 240;
const SERIES = 40;
const END = START + (POINTS - 1) * STEP;
/** Close to the most points that Prometheus gives; whole milliseconds, and the same number in binary. */
const FINE_STEP = 0.375;
const COPIES = [1, 2, 3].map((copy) => `or label_replace(http_load, "copy", "${copy}", "", "")`).join(' ');

/** The name of an answer is the query that a client sends for it; behind it, what gave it, and the question's own times. */
const questions = {
  /** An instant vector of about 1 KB. */
  small: instant('http_load{pod=~"shop-[0-6]"}'),
  /** The same size as a range query. */
  few: range('http_load{pod=~"shop-[01]"}', STEP, START + 14 * STEP),
  /** 40 series × 240 points, about 270 KB. */
  large: range('http_load', STEP),
  /** About 12 MB. */
  wide: range('http_load', FINE_STEP),
  /** About 50 MB. */
  huge: range(`http_load ${COPIES}`, FINE_STEP),
} as const;

export type AnswerName = keyof typeof questions;

/**
 * The path that asks a stand-in server (`upstream.ts`) for an answer. Other `shift`s are other questions that get the same
 * answer, so that no two requests that are in flight together are alike.
 */
export function pathOf(name: AnswerName, shift = 0): string {
  const { path, times } = questions[name];
  const parameters = Object.entries(times).map(([key, value]) => `&${key}=${key === 'step' ? value : value + shift}`);
  return `${path}?query=${name}${parameters.join('')}`;
}

/** Writes the answers to files of their names in `dir`. Returns their sizes in bytes. */
export async function captureAnswers<Name extends AnswerName>(
  dir: string,
  names: readonly Name[],
): Promise<Readonly<Record<Name, number>>> {
  const prometheus = await startPrometheus({ data: openMetrics() });
  const sizes: [string, number][] = [];
  try {
    for (const name of names) {
      const { path, query, times } = questions[name];
      const parameters = new URLSearchParams({ query, ...mapValues(times, String) });
      const answer = await rawGet(prometheus.port, `${path}?${parameters}`);
      await writeFile(join(dir, name), answer);
      sizes.push([name, answer.length]);
    }
  } finally {
    await prometheus.stop();
  }
  return Object.fromEntries(sizes) as Record<Name, number>;
}

interface Question {
  readonly path: string;
  readonly query: string;
  /** Seconds, by parameter. */
  readonly times: Readonly<Record<string, number>>;
}

function instant(query: string): Question {
  return { path: '/api/v1/query', query, times: { time: END } };
}

function range(query: string, step: number, end = END): Question {
  return { path: '/api/v1/query_range', query, times: { start: START, end, step } };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function openMetrics(): string {
  const lines = ['# TYPE http_load gauge'];
  for (let series = 0; series < SERIES; series++) {
    for (let point = 0; point < POINTS; point++) {
      const value = (1 + Math.sin(series + point / 20)) * 40;
      lines.push(
        `http_load{job="shop",namespace="shop-production",pod="shop-${series}"} ${value.toFixed(9)} ${START + point * STEP}`,
      );
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

/** One whole answer, framing included, from a connection that stays open as a proxy's would. */
function rawGet(port: number, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    let expected: number | null = null;
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      received += chunk.length;
      expected ??= wholeLength(Buffer.concat(chunks));
      if (expected === null || received < expected) return;
      // The last chunk of chunked encoding has no bytes.
      if (expected === 0 && !Buffer.concat(chunks.slice(-2)).subarray(-5).equals(LAST_CHUNK)) return;
      socket.destroy();
      const all = Buffer.concat(chunks);
      if (!all.includes('HTTP/1.1 200 OK')) reject(new Error(`the server refused ${path}: ${all.toString().slice(0, 500)}`));
      resolve(all);
    });
  });
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** `null`: the head is not there yet; 0: chunked, so only the end tells. */
function wholeLength(start: Buffer): number | null {
  const end = start.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const length = /content-length: (\d+)/i.exec(start.toString('latin1', 0, end))?.[1];
  return length === undefined ? 0 : end + 4 + Number(length);
}
