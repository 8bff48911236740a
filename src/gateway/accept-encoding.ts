/**
 * Whether an `Accept-Encoding` header takes gzip, the one coding that is ever used (RFC 9110, 12.5.3): a weight other than
 * 0 for `gzip`, or for `*` where gzip is not named.
 */
export function acceptsGzip(header: string | string[] | undefined): boolean {
  if (header === undefined) return false;
  if (header === 'gzip') return true;
  let any = false;
  for (const part of String(header).toLowerCase().split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    const wanted = !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (coding === 'gzip') return wanted;
    if (coding === '*') any = wanted;
  }
  return any;
}
