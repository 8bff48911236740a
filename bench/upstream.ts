/**
 * The server behind the proxies of the benchmark: gives back whole HTTP answers that a real Prometheus once gave, as fast
 * as Node can write bytes. A real one would be the slowest part of every row and make all proxies look alike.
 * `node bench/upstream.ts PORT FILE…`: `query=NAME` in the path gives the answer in the file of that name, any other query the
 * first one; `format_query` says that it reads a query as it was sent, so that confined servers can be measured, too.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';

const [port, ...files] = process.argv.slice(2);
const answers = new Map(files.map((file) => [basename(file), readFileSync(file)]));
const [first] = answers.values();
if (port === undefined || first === undefined) throw new Error('usage: upstream.ts PORT FILE…');
const END = '\r\n\r\n';

function json(status: string, body: object): string {
  const text = JSON.stringify(body);
  return `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}${END}${text}`;
}

function answer(head: string): Buffer | string {
  const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'));
  if (path.startsWith('/api/v1/query')) {
    const at = path.indexOf('query=') + 'query='.length;
    const end = path.indexOf('&', at);
    return answers.get(path.slice(at, end === -1 ? undefined : end)) ?? (first as Buffer);
  }
  const url = new URL(path, 'http://bench');
  if (url.pathname === '/api/v1/format_query') return json('200 OK', { status: 'success', data: url.searchParams.get('query') });
  if (url.pathname === '/api/v1/status/buildinfo') return json('200 OK', { status: 'success', data: { goVersion: 'go1' } });
  if (url.pathname.startsWith('/api/v1/label'))
    return json('200 OK', { status: 'success', data: path.includes('none') ? [] : ['up'] });
  return json('404 Not Found', { status: 'error', errorType: 'not_found', error: 'not found' });
}

createServer({ noDelay: true }, (socket) => {
  let rest = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    rest += chunk.toString('latin1');
    for (let end = rest.indexOf(END); end !== -1; end = rest.indexOf(END)) {
      socket.write(answer(rest.slice(0, end)));
      rest = rest.slice(end + END.length);
    }
  });
}).listen(Number(port), '127.0.0.1');
