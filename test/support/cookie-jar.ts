/** A browser as far as signing in goes: keeps cookies by origin, name and path, and follows redirects. It runs no scripts. */

interface Kept {
  readonly origin: string;
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

export interface Answer {
  readonly url: string;
  readonly status: number;
  readonly location: string | null;
  readonly setCookie: readonly string[];
  readonly headers: Headers;
  readonly text: string;
}

export class Browser {
  #cookies: Kept[] = [];

  /** One request. */
  async get(
    url: string,
    { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const cookie = this.cookieHeader(url);
    const answer = await fetch(url, {
      method,
      redirect: 'manual',
      headers: { ...(cookie === '' ? {} : { cookie }), ...headers },
    });
    const setCookie = answer.headers.getSetCookie();
    for (const each of setCookie) this.keep(url, each);
    const location = answer.headers.get('location');
    return {
      url,
      status: answer.status,
      location: location === null ? null : new URL(location, url).href,
      setCookie,
      headers: answer.headers,
      text: await answer.text(),
    };
  }

  /** A request and all its redirects, until an answer is none, or `until` says of an answer that it is the one. */
  async follow(url: string, until: (answer: Answer) => boolean = () => false): Promise<Answer> {
    let answer = await this.get(url);
    for (let hops = 0; answer.location !== null && !until(answer); hops++) {
      if (hops === 15) throw new Error(`no end of redirects at ${url}`);
      answer = await this.get(answer.location);
    }
    return answer;
  }

  /** Loses all cookies of an origin. */
  forget(origin: string): void {
    this.#cookies = this.#cookies.filter((each) => each.origin !== origin);
  }

  cookieHeader(url: string): string {
    const { origin, pathname } = new URL(url);
    return this.#cookies
      .filter((each) => each.origin === origin && isBelow(pathname, each.path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  keep(url: string, setCookie: string): void {
    const { origin } = new URL(url);
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim());
    const [name = ''] = pair.split('=', 1);
    const attribute = (key: string) =>
      attributes.find((each) => each.toLowerCase().startsWith(`${key}=`))?.slice(key.length + 1) ?? null;
    const path = attribute('path') ?? '/';
    this.#cookies = this.#cookies.filter((each) => each.origin !== origin || each.name !== name || each.path !== path);
    const expires = attribute('expires');
    if (attribute('max-age') === '0' || (expires !== null && Date.parse(expires) <= Date.now())) return;
    this.#cookies.push({ origin, name, value: pair.slice(name.length + 1), path });
  }
}

/** RFC 6265, 5.1.4. */
function isBelow(pathname: string, path: string): boolean {
  return pathname === path || (pathname.startsWith(path) && (path.endsWith('/') || pathname[path.length] === '/'));
}
