import { isDeepStrictEqual } from 'node:util';
import { getGlobalDispatcher } from 'undici';

/** Query parameters, in order; a name may come twice. */
export type Params = readonly (readonly [name: string, value: string])[];

export interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

/**
 * One plain request, uncompressed. The parameters ride in the URL of a GET and in the urlencoded body of anything else.
 * The path goes out as it is: no dot and no slash is resolved.
 */
export async function ask(
  url: string,
  { params = [], method = 'GET', headers = {} }: { params?: Params; method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const form = params.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  const { origin } = new URL(url);
  const path = url.slice(origin.length);
  const inUrl = method === 'GET' || form === '';
  const answer = await getGlobalDispatcher().request({
    origin,
    path: form !== '' && inUrl ? `${path}?${form}` : path,
    method,
    headers: inUrl ? headers : { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    body: inUrl ? null : form,
  });
  const type = answer.headers['content-type'];
  return { status: answer.statusCode, type: typeof type === 'string' ? type : undefined, body: await answer.body.text() };
}

/**
 * What `through` answers while `direct` keeps giving one answer: again and again where the server's own answer changed
 * meanwhile, as those do that have times of scrapes, or alerts that come and go, in them.
 */
export async function askBoth<D, T>(direct: () => Promise<D>, through: () => Promise<T>): Promise<{ direct: D; through: T }> {
  for (;;) {
    const before = await direct();
    const answer = await through();
    if (isDeepStrictEqual(before, await direct())) return { direct: before, through: answer };
  }
}
