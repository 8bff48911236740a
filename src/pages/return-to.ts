/** Far below what proxies take as a URL. */
const LONGEST = 4096;

/**
 * Where to go after signing in: a path of this Promgate, as the URL standard writes it, or its first page where `given` is none.
 * Whatever a browser could take for another host is none: it would lend our name to somebody's imitation of the next page.
 */
export function returnTo(given: unknown, basePath: string): string {
  const first = `${basePath}/`;
  if (typeof given !== 'string' || given.length > LONGEST || !/^\/[\x21-\x7e]*$/.test(given) || given.includes('\\'))
    return first;
  if (given.startsWith('//') || !URL.canParse(given, 'http://host')) return first;
  const { pathname, search, host } = new URL(given, 'http://host');
  // `/.//evil.example` becomes `//evil.example` by taking the dots out.
  if (host !== 'host' || pathname.startsWith('//') || !pathname.startsWith(first)) return first;
  const isSignIn = /^(login|logout)(\/|$)/.test(pathname.slice(first.length));
  return isSignIn ? first : pathname + search;
}
