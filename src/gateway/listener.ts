/**
 * The gateway's listener. The corridor takes its URLs straight off the HTTP server; all others are Fastify's: Promgate's
 * own API below `/-/api/`, and a 404 for the rest.
 */
import { createServer, type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { sendProblem } from '../api/problem.ts';
import { PromgateError } from '../errors.ts';
import type { Corridor } from './corridor.ts';
import { notFound, originForm } from './entrance.ts';
import { errorBody, sendError } from './envelope.ts';
import { followQueued } from './queued.ts';
import { requestIds } from './visit.ts';

/** Long GET URLs and Grafana's headers. */
const MAX_HEADERS = 64 * 1024;
/** A client that has not sent its whole head, or its whole request, after this is cut off. */
const HEAD_TIMEOUT = 15_000;
const REQUEST_TIMEOUT = 60_000;
/** Longer than the idle pools of clients (Go's keep theirs 90 s), so that they are the side that closes. */
const KEEP_ALIVE = 120_000;
/** Characters of a name in a URL of the API: 21 segments of a path and the name of an environment have 255 each. */
const MAX_NAME = 8 * 1024;
/** No route has it. */
const NOWHERE = '/-/-';

/** `basePath` is the path of `external_url` as it is now, without trailing slash; routes stand below it. */
export function createGateway(corridor: Corridor, basePath: () => string): FastifyInstance {
  const app = Fastify({
    genReqId: requestIds(),
    rewriteUrl: (request) => belowBase(originForm(request.url ?? '/'), basePath()),
    // What comes while stopping is answered as ever, and ends its connection.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_NAME },
    // A path that cannot be decoded.
    frameworkErrors: (_error, _request, reply) => refuseUnknown(reply),
    serverFactory(fastify) {
      const server = createServer(
        {
          maxHeaderSize: MAX_HEADERS,
          headersTimeout: HEAD_TIMEOUT,
          requestTimeout: REQUEST_TIMEOUT,
          connectionsCheckingInterval: 2_000,
          keepAliveTimeout: KEEP_ALIVE,
          noDelay: true,
        },
        (request, response) => {
          followQueued(request, response);
          if (!corridor(request, response)) fastify(request, response);
        },
      );
      server.on('clientError', answerBrokenRequest);
      server.on('dropRequest', (_request, socket: Socket) => socket.destroy());
      return server as Server;
    },
  });
  // Before Fastify reads the body, for whose faults it has answers of its own.
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404) done();
    else if (request.url.startsWith('/-/api/')) sendProblem(reply, noSuchOperation());
    else refuseUnknown(reply);
  });
  return app;
}

/** The URL without the base path, which may stand without its slash; what is not below it is nothing. */
function belowBase(url: string, basePath: string): string {
  const rest = url.startsWith(basePath) ? url.slice(basePath.length) : '';
  if (rest.startsWith('/')) return rest;
  return url === basePath || rest.startsWith('?') ? `/${rest}` : NOWHERE;
}

/** The mistake that everybody makes first is a path in a path. */
function noSuchOperation(): PromgateError {
  return new PromgateError(
    'not_found',
    'there is no such operation; the / of a name is written %2F, as in /projects/acme%2Fshop; the page /-/api/ has all operations',
  );
}

function refuseUnknown(reply: FastifyReply): void {
  reply.hijack();
  sendError(reply.raw, notFound());
}

/** What is not even an HTTP request gets an answer too, and no more. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const refusal = brokenRequest(error.code);
  const body = errorBody(refusal);
  socket.end(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Content-Type-Options: nosniff\r\n\r\n${body}`,
  );
}

function brokenRequest(code: string | undefined): PromgateError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new PromgateError(
      'headers_too_large',
      `the request's line and headers have more than ${MAX_HEADERS} bytes: send parameters in a POST body`,
    );
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new PromgateError('request_timeout', 'the request was not complete in time');
  return new PromgateError('bad_data', 'malformed HTTP request');
}
