/** What a server can answer to a range query instead of the truth. */
import { gzipSync } from 'node:zlib';
import { type Asked, json, type MadeUpSeries, madeUpSeries, madeUpText, matrixText } from './made-up.ts';
import * as play from './strict-upstream.ts';

/** Given the question, what the server does. */
export type Wrong = (asked: Asked) => play.Script;

/** No whole answer comes: the client must see that. */
export const broken: Readonly<Record<string, Wrong>> = {
  'a reset before the answer': () => play.resetsBeforeHeaders,
  'an end before the answer': () => play.closesBeforeHeaders,
  silence: () => play.stalls,
  'a reset in the answer': halfAnd((socket) => socket.resetAndDestroy()),
  'an end in the answer': halfAnd((socket) => socket.end()),
  'silence in the answer': halfAnd(() => {}),
  'an end without the last chunk': (asked) => (socket) => {
    const text = madeUpText(asked);
    socket.end(`HTTP/1.1 200 OK\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n`);
  },
  'a length larger than the answer': (asked) => (socket) => {
    const text = madeUpText(asked);
    socket.end(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${text.length + 1}\r\n\r\n${text}`);
  },
  'no HTTP': () => play.sendsGarbage,
  HTML: () => play.sendsHtml,
  'gzip that nobody asked for': (asked) => (socket) => {
    const body = gzipSync(madeUpText(asked));
    socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
  },
  'a redirect': () => play.redirectsTo('/elsewhere'),
  'an answer over max_response': (asked) => play.answers(`${madeUpText(asked)}${' '.repeat(2 ** 20)}`),
  'an answer over max_response, in chunks': () => play.streams(2 ** 21),
};

const refusal = '{"status":"error","errorType":"internal","error":"out of order"}';

/** The server says no: the client hears that. */
export const refused: Readonly<Record<string, { wrong: Wrong; status: number }>> = Object.fromEntries(
  ['400 Bad Request', '422 Unprocessable Entity', '500 Internal Server Error', '503 Service Unavailable', '429 Too Many'].map(
    (status) => [status, { wrong: () => play.answers(refusal, status), status: Number(status.slice(0, 3)) }],
  ),
);

/** Whole answers that are no answers to the question, or that must not be kept. The client may see them as they are. */
export const odd: Readonly<Record<string, (asked: Asked) => string>> = {
  'the JSON cut off': (asked) => madeUpText(asked).slice(0, -20),
  'the JSON cut off behind a series': (asked) => madeUpText(asked).slice(0, -3),
  'an empty body': () => '',
  'other JSON': () => '{"hello":"world"}',
  'a vector': (asked) => madeUpText({ ...asked, path: '/api/v1/query' }),
  'an error with status 200': () => refusal,
  'something behind it': (asked) => `${madeUpText(asked)}{}`,
  'warnings behind it': (asked) => madeUpText(asked).replace(/}$/, ',"warnings":["half of the stores are away"]}'),
  'warnings before it': (asked) => madeUpText(asked).replace('"data"', '"warnings":["half of the stores are away"],"data"'),
  remarks: (asked) => madeUpText(asked).replace(/}$/, ',"infos":["PromQL info: might not be a counter"]}'),
  'a partial answer': (asked) => madeUpText(asked).replace('"data"', '"isPartial":true,"data"'),
  'times between the points': changed((pair) => pair.replace(/^\[\d+/, '$&.001')),
  'a time far off': changed((pair) => pair.replace('[', '[1')),
  'times of another step': (asked) => madeUpText(withParams(asked, { step: 7.5 })),
  'more than was asked for, before it': (asked) => madeUpText(moved(asked, -1, 0)),
  'more than was asked for, behind it': (asked) => madeUpText(moved(asked, 0, 1)),
  'another stretch of time': (asked) => madeUpText(moved(asked, 1, 1)),
  'the answer for long ago': (asked) => madeUpText(moved(asked, -1000, -1000)),
  'series in another order': reordered((series) => series.toReversed()),
  'a series twice': reordered((series) => series.flatMap((one) => [one, one])),
  'points twice': reordered((series) => series.map((one) => ({ ...one, values: one.values.flatMap((pair) => [pair, pair]) }))),
  'points in another order': reordered((series) => series.map((one) => ({ ...one, values: one.values.toReversed() }))),
  'a series with a label twice': (asked) => madeUpText(asked).replaceAll('{"__name__"', '{"__name__":"up","__name__"'),
  'a value that is no text': changed((pair) => pair.replaceAll('"', '')),
  'half a surrogate': (asked) => madeUpText(asked).replaceAll('"__name__":"', '"__name__":"\\ud800'),
};

function withParams({ path, params }: Asked, changes: Record<string, number>): Asked {
  const other = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) other.set(name, String(value));
  return { path, params: other };
}

/** With start and end moved by so many steps. */
function moved(asked: Asked, start: number, end: number): Asked {
  const [from, to, step] = ['start', 'end', 'step'].map((name) => Number(asked.params.get(name)));
  return withParams(asked, { start: (from ?? 0) + start * (step ?? 0), end: (to ?? 0) + end * (step ?? 0) });
}

function reordered(change: (series: MadeUpSeries[]) => MadeUpSeries[]) {
  return ({ params }: Asked): string => matrixText(change(madeUpSeries(params)));
}

/** The last sample of each series is another one. */
function changed(change: (pair: string) => string) {
  return reordered((series) =>
    series.map(({ metric, values }) => ({ metric, values: [...values.slice(0, -1), ...values.slice(-1).map(change)] })),
  );
}

function halfAnd(then: (socket: Parameters<play.Script>[0]) => void): Wrong {
  return (asked) => (socket) => {
    const text = madeUpText(asked);
    const half = text.slice(0, text.length / 2);
    socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${text.length}\r\n\r\n${half}`, () =>
      play.beingRead().then(() => then(socket)),
    );
  };
}
