/** The least that a Node proxy can do: node:http in front of undici, nothing looked at. `node bench/bare-proxy.ts PORT UPSTREAM` */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const [port, upstream] = process.argv.slice(2);
if (port === undefined || upstream === undefined) throw new Error('usage: bare-proxy.ts PORT UPSTREAM');
const pool = new Pool(upstream, { connections: 256 });

createServer((request, response) => {
  pool.dispatch(
    { method: 'GET', path: request.url ?? '/', headers: ['accept-encoding', 'identity'] },
    {
      onRequestStart(controller) {
        response.once('drain', () => controller.resume());
      },
      onResponseStart(_controller, status, { 'content-type': type, 'content-length': length }) {
        response.writeHead(status, {
          'content-type': String(type),
          ...(length === undefined ? {} : { 'content-length': String(length) }),
        });
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return;
        controller.pause();
        response.once('drain', () => controller.resume());
      },
      onResponseEnd: () => response.end(),
      onResponseError: () => response.destroy(),
    },
  );
}).listen(Number(port), '127.0.0.1');
