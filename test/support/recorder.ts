/** A strict server in front of a real one: everything that is asked passes through it and is written down. */
import type { Socket } from 'node:net';
import { getGlobalDispatcher } from 'undici';
import { answerText, type Script, startStrictUpstream, type UpstreamRequest } from './strict-upstream.ts';

export interface Recorded {
  readonly method: string;
  /** Without the parameters, as it came. */
  readonly path: string;
  /** Decoded, from the URL and the body. */
  readonly params: readonly (readonly [name: string, value: string])[];
  readonly header: UpstreamRequest['header'];
}

export interface Recorder {
  readonly url: string;
  /** What came since the last call. Throws where any of it was not valid HTTP to the letter. */
  take(): Recorded[];
  stop(): Promise<void>;
}

/**
 * @param target URL of the real server, with its path prefix, without a trailing slash
 * @param instead paths that are answered with these texts instead
 */
export async function startRecorder(target: string, instead: Readonly<Record<string, string>> = {}): Promise<Recorder> {
  const upstream = await startStrictUpstream(forwardTo(target, instead));
  let taken = 0;
  return {
    url: upstream.url,
    take() {
      if (upstream.violations.length > 0) throw new Error(upstream.violations.join('\n'));
      const fresh = upstream.requests.slice(taken);
      taken += fresh.length;
      return fresh.map(recorded);
    },
    stop: upstream.stop,
  };
}

function forwardTo(target: string, instead: Readonly<Record<string, string>>): Script {
  const { origin, pathname } = new URL(target);
  const prefix = pathname === '/' ? '' : pathname;
  return async (socket: Socket, request) => {
    const { method, body } = request;
    const other = instead[request.target];
    if (other !== undefined) {
      socket.write(answerText('200 OK', ['Content-Type: application/json'], other));
      return;
    }
    const headers = body === '' ? {} : { 'content-type': request.header('content-type') ?? '' };
    try {
      const path = prefix + request.target;
      const answer = await getGlobalDispatcher().request({ origin, path, method, headers, body: body === '' ? null : body });
      const text = await answer.body.text();
      const type = answer.headers['content-type'];
      socket.write(answerText(`${answer.statusCode} Forwarded`, type === undefined ? [] : [`Content-Type: ${type}`], text));
    } catch {
      socket.destroy();
    }
  };
}

function recorded({ method, target, body, header }: UpstreamRequest): Recorded {
  const mark = target.indexOf('?');
  const query = mark === -1 ? '' : target.slice(mark + 1);
  return {
    method,
    path: mark === -1 ? target : target.slice(0, mark),
    params: [...new URLSearchParams(query), ...new URLSearchParams(body)],
    header,
  };
}
