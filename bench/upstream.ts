/**
 * The server behind the proxies of the benchmark: gives back whole HTTP answers that a real Prometheus once gave, as fast
 * as Node can write bytes. A real one would be the slowest part of every row and make all proxies look alike.
 * Started as `node bench/upstream.ts PORT small-file large-file`; the answer is chosen by the path's first character
 * after `/api/v1/` … `query=large` gives the large one.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const [port, smallFile, largeFile] = process.argv.slice(2);
if (port === undefined || smallFile === undefined || largeFile === undefined)
  throw new Error('usage: upstream.ts PORT SMALL LARGE');
const small = readFileSync(smallFile);
const large = readFileSync(largeFile);
const END = '\r\n\r\n';

createServer({ noDelay: true }, (socket) => {
  let rest = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    rest += chunk.toString('latin1');
    for (let end = rest.indexOf(END); end !== -1; end = rest.indexOf(END)) {
      socket.write(rest.slice(0, end).includes('query=large') ? large : small);
      rest = rest.slice(end + END.length);
    }
  });
}).listen(Number(port), '127.0.0.1');
