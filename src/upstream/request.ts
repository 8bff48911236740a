/** The one form in which a server is asked: canonical, built from a binding and parameters alone. */
import type { Request } from './ask.ts';
import type { Binding } from './binding.ts';

/** Longer questions go as POST: not every server on the way takes long URLs. */
const LONGEST_GET = 4096;

export interface RequestOptions {
  /** Whether the endpoint takes POST. */
  readonly post: boolean;
  /** See `Request`. */
  readonly gzip: boolean;
  readonly text: boolean;
  readonly maxResponse: number;
}

/** `path` is below the server's URL, `parameters` urlencoded without the binding's fixed ones. */
export function buildRequest(binding: Binding, path: string, parameters: string, options: RequestOptions): Request {
  const { basePath, fixedText, headers, limits } = binding;
  const all = parameters === '' || fixedText === '' ? parameters + fixedText : `${parameters}&${fixedText}`;
  const asPost = options.post && all.length > LONGEST_GET;
  const whole = basePath + path;
  return {
    method: asPost ? 'POST' : 'GET',
    path: asPost || all === '' ? whole : `${whole}?${all}`,
    headers,
    body: asPost ? all : null,
    gzip: options.gzip,
    text: options.text,
    timeout: limits.timeout,
    maxResponse: options.maxResponse,
  };
}
