/** The least that a Node server can do for an answer that it has: node:http gives the bytes of a file. `node bench/bare-answer.ts PORT FILE` */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [port, file] = process.argv.slice(2);
if (port === undefined || file === undefined) throw new Error('usage: bare-answer.ts PORT FILE');
const body = readFileSync(file);
const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };

createServer((_request, response) => {
  response.writeHead(200, headers);
  response.end(body);
}).listen(Number(port), '127.0.0.1');
