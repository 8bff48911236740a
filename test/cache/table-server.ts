/**
 * A server that answers as Prometheus 3 does from a small table, for what no server at hand has: native histograms, warnings and
 * remarks, heads and statuses at will. It evaluates the times of a question honestly and does not look at its query.
 */
import type { Recorded, Recorder } from '../support/recorder.ts';
import { answerText, startStrictUpstream, type UpstreamRequest } from '../support/strict-upstream.ts';

export interface TableSeries {
  readonly metric: Readonly<Record<string, string>>;
  /** A value's text, a histogram, or nothing; by the moment in Unix milliseconds. */
  at(ms: number): string | Histogram | null;
}

export interface Histogram {
  readonly count: string;
  readonly sum: string;
  readonly buckets: readonly (readonly [boundaries: number, lower: string, upper: string, count: string])[];
}

/** How it answers from now on. */
export interface Manner {
  readonly status?: string;
  /** Beside `Content-Type`. */
  readonly headers?: readonly string[];
  /** More fields of the envelope, such as `warnings`. */
  readonly envelope?: Readonly<Record<string, unknown>>;
}

export interface TableServer extends Recorder {
  behave(manner: Manner): void;
}

/** @param table sorted as Prometheus sorts series */
export async function startTableServer(table: readonly TableSeries[]): Promise<TableServer> {
  let manner: Manner = {};
  const upstream = await startStrictUpstream((socket, request) => {
    const { status = '200 OK', headers = [], envelope = {} } = manner;
    const { path, params } = recordedOf(request);
    const outcome = status.startsWith('200')
      ? { status: 'success', data: dataOf(path, new Map(params), table) }
      : { status: 'error', errorType: 'execution', error: 'it is so' };
    socket.write(answerText(status, ['Content-Type: application/json', ...headers], JSON.stringify({ ...outcome, ...envelope })));
  });
  let taken = 0;
  return {
    url: upstream.url,
    behave(next) {
      manner = next;
    },
    take() {
      if (upstream.violations.length > 0) throw new Error(upstream.violations.join('\n'));
      const fresh = upstream.requests.slice(taken);
      taken += fresh.length;
      return fresh.map(recordedOf);
    },
    stop: upstream.stop,
  };
}

function recordedOf({ method, target, body, header }: UpstreamRequest): Recorded {
  const [path = '', query = ''] = target.split('?');
  return { method, path, params: [...new URLSearchParams(query), ...new URLSearchParams(body)], header };
}

function dataOf(path: string, params: ReadonlyMap<string, string>, table: readonly TableSeries[]): unknown {
  const ms = (name: string): number => milliseconds(params.get(name) ?? '');
  if (path.endsWith('/query_range')) {
    const result = table.flatMap((series) => rangeOf(series, ms('start'), ms('end'), ms('step')));
    return { resultType: 'matrix', result };
  }
  if (path.endsWith('/query')) {
    const time = params.has('time') ? ms('time') : Date.now();
    const result = table.flatMap(({ metric, at }) => {
      const sample = at(time);
      if (sample === null) return [];
      return [{ metric, [typeof sample === 'string' ? 'value' : 'histogram']: [time / 1000, sample] }];
    });
    return { resultType: 'vector', result };
  }
  return table.map(({ metric }) => metric);
}

/** Of seconds, of a date, or of `250ms`. */
function milliseconds(text: string): number {
  if (text.endsWith('ms')) return Number(text.slice(0, -2));
  const seconds = Number(text);
  return Number.isNaN(seconds) ? Date.parse(text) : Math.round(seconds * 1000);
}

/** A series with samples of both kinds has both keys, floats first. */
function rangeOf({ metric, at }: TableSeries, start: number, end: number, step: number): object[] {
  const values: unknown[] = [];
  const histograms: unknown[] = [];
  for (let time = start; time <= end; time += step) {
    const sample = at(time);
    if (sample !== null) (typeof sample === 'string' ? values : histograms).push([time / 1000, sample]);
  }
  if (values.length + histograms.length === 0) return [];
  return [{ metric, ...(values.length > 0 ? { values } : {}), ...(histograms.length > 0 ? { histograms } : {}) }];
}
