/**
 * A server of made-up series: what it answers follows from the question alone, so every answer is known beforehand, and one to
 * another question, or for another time, is seen to be wrong. In the form of Prometheus, byte for byte.
 */
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { answerText, type Script, type UpstreamRequest } from './strict-upstream.ts';

export interface Asked {
  readonly path: string;
  readonly params: URLSearchParams;
}

/** Where a request goes and with what, wherever the parameters stood. */
export function askedOf({ target, body }: UpstreamRequest): Asked {
  const [path = '', query = ''] = target.split('?');
  return { path, params: new URLSearchParams(body === '' ? query : body) };
}

/** One of the series that a range query gives: its samples as the JSON has them. */
export interface MadeUpSeries {
  readonly metric: string;
  readonly values: readonly string[];
}

/**
 * The series of a range query. The first has samples at all points, the second has gaps, the third comes and goes every ten
 * minutes. With another `edition` the past is another one.
 */
export function madeUpSeries(params: URLSearchParams, edition = 0): MadeUpSeries[] {
  const query = params.get('query') ?? '';
  const [start, end, step] = ['start', 'end', 'step'].map((name) => Math.round(Number(params.get(name)) * 1000));
  if (start === undefined || end === undefined || step === undefined || !(step > 0)) return [];
  const has = [() => true, (time: number) => mixed(query, time) % 5 > 1, (time: number) => Math.floor(time / 600_000) % 2 === 0];
  const series = has.map((hasSample, index) => {
    const values: string[] = [];
    for (let time = start; time <= end; time += step) {
      if (hasSample(time)) values.push(sample(time, valueAt(query, index, time, edition)));
    }
    return { metric: metricText(query, index), values };
  });
  return series.filter(({ values }) => values.length > 0);
}

/** The whole answer with these series. */
export function matrixText(series: readonly MadeUpSeries[]): string {
  const result = series.map(({ metric, values }) => `{"metric":${metric},"values":[${values.join(',')}]}`);
  return `{"status":"success","data":{"resultType":"matrix","result":[${result.join(',')}]}}`;
}

/** The body of the answer to anything. */
export function madeUpText({ path, params }: Asked, edition = 0): string {
  if (path.endsWith('/query_range')) return matrixText(madeUpSeries(params, edition));
  if (path.endsWith('/query')) return vectorText(params, edition);
  return JSON.stringify({ status: 'success', data: dataOf(path, params, `${path}?${params} ${edition}`) });
}

/** Answers honestly, compressed where that is accepted and wanted. */
export function honest({ edition = () => 0, gzip = false }: { edition?: () => number; gzip?: boolean } = {}): Script {
  return (socket, request) => {
    const asked = askedOf(request);
    const status = asked.path.endsWith('/parse_query') ? '404 Not Found' : '200 OK';
    const text = status === '200 OK' ? madeUpText(asked, edition()) : '{"status":"error","errorType":"not_found","error":"no"}';
    if (gzip && request.header('accept-encoding') === 'gzip') sendGzip(socket, text);
    else socket.write(answerText(status, [json], text));
  };
}

export const json = 'Content-Type: application/json';

function sendGzip(socket: Socket, text: string): void {
  const body = gzipSync(text);
  socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
}

function vectorText(params: URLSearchParams, edition: number): string {
  const query = params.get('query') ?? '';
  const time = Math.round(Number(params.get('time') ?? '0') * 1000);
  const result = [0, 1, 2].map(
    (index) => `{"metric":${metricText(query, index)},"value":${sample(time, valueAt(query, index, time, edition))}}`,
  );
  return `{"status":"success","data":{"resultType":"vector","result":[${result.join(',')}]}}`;
}

/** `echo`: the question, which stands in each answer where its form has room for it. */
function dataOf(path: string, params: URLSearchParams, echo: string): unknown {
  if (params.getAll('match[]').some((selector) => selector.includes('__promgate_none__'))) return [];
  if (path.endsWith('/__name__/values')) return ['up'];
  if (path.endsWith('/format_query')) return params.get('query');
  if (path.endsWith('/series')) return [{ __name__: 'up', echo }];
  if (path.endsWith('/metadata'))
    return path.endsWith('/targets/metadata') ? [] : { up: [{ type: 'gauge', help: echo, unit: '' }] };
  if (path.endsWith('/query_exemplars')) return [{ seriesLabels: { echo }, exemplars: [] }];
  if (path.endsWith('/rules')) return { groups: [{ name: echo, file: 'rules.yml', interval: 15, rules: [] }] };
  if (path.endsWith('/alerts')) {
    return {
      alerts: [{ labels: { alertname: echo }, annotations: {}, state: 'firing', activeAt: '2025-06-01T08:00:00Z', value: '1' }],
    };
  }
  if (path.endsWith('/buildinfo')) return { version: '3.0.0', revision: echo, goVersion: 'go1.23' };
  return [echo];
}

function metricText(query: string, index: number): string {
  return `{"__name__":${JSON.stringify(query)},"instance":"${index}"}`;
}

/** `time` in milliseconds; written as Prometheus does. */
function sample(time: number, value: number): string {
  const milliseconds = time % 1000;
  const seconds = String((time - milliseconds) / 1000);
  return `[${milliseconds === 0 ? seconds : `${seconds}.${String(milliseconds).padStart(3, '0')}`},"${value}"]`;
}

function valueAt(query: string, index: number, time: number, edition: number): number {
  return mixed(`${query} ${index} ${edition}`, time) % 100_000;
}

/** FNV-1a over the text and the time. */
function mixed(text: string, time: number): number {
  let hash = 0x811c9dc5;
  for (const part of `${text} ${time}`) hash = Math.imul(hash ^ part.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}
