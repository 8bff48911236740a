import fc from 'fast-check';

/** A change of a text: at a place, some characters go and others come. */
interface Edit {
  readonly place: number;
  readonly cut: number;
  readonly insert: string;
}

/** What parsers disagree about, and what an attacker would like to get in. */
const queryPieces = [
  ...'\r\n\t\v\f\0\x1a\x7f"\'`\\#{}()[],:;=!~<>@+-*/^%._ 0a',
  ...'\x85\xa0\xad\u1680\u200b\u2028\u2029\u202e\u3000\ufeff\ufffd\u0301é漢',
  '#\r',
  '\r\n',
  '\\x22',
  '\\u0022',
  '\\"',
  '""',
  '"}',
  '{}',
  ' or ',
  ' or secret_b_total',
  'secret_b_total',
  '{namespace="secret-b"}',
  ',namespace="secret-b"',
  ',namespace=~".*"',
  '{{x}}',
  '{{kube_namespace}}',
  ' offset 5m',
  ' @ end()',
  '[5m]',
  '[5m:1m]',
  'info(',
  'scalar(',
  'topk(scalar(secret_b_total),',
  ' by (namespace) ',
  'bool ',
  '1_0',
  '0x',
  'Inf',
];

const requestPieces = [
  ...'\r\n\t\0 &=;+%#?/\\.,"\':-_[]{}<>|é',
  '..',
  '../',
  '/./',
  '//',
  '%2e%2e/',
  '%2f',
  '%5c',
  '%00',
  '%0d%0a',
  '%25',
  '%23',
  '%3f',
  '%3b',
  '%ff',
  '%zz',
  '&query=secret_b_total',
  '&match[]=secret_b_total',
  '&match%5B%5D={namespace="secret-b"}',
  '&extra_filters[]={namespace="secret-b"}',
  '&variables[x]=secret_b_total',
  '?query=secret_b_total',
  'query',
  'targets',
  'federate',
  'status/tsdb',
  'other/secret',
  '\r\n--b\r\n',
  '--b--',
  'name="query"',
  'filename="x"',
  'application/json',
];

/** One of `seeds`, changed in up to five places. */
export function mutatedQuery(seeds: readonly string[]): fc.Arbitrary<string> {
  // Half a character cannot be sent as a parameter.
  return mutated(seeds, queryPieces).filter((text) => text.isWellFormed());
}

/** A piece of a request (path, body, content type), changed likewise. */
export function mutatedRequest(seeds: readonly string[]): fc.Arbitrary<string> {
  return mutated(seeds, requestPieces);
}

function mutated(seeds: readonly string[], pieces: readonly string[]): fc.Arbitrary<string> {
  const insert = fc.oneof(fc.constant(''), fc.constantFrom(...pieces), fc.constantFrom(...seeds));
  const edit = fc.record({ place: fc.nat({ max: 10_000 }), cut: fc.oneof(fc.constant(0), fc.nat({ max: 6 })), insert });
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 5 }))
    .map(([seed, edits]) => edits.reduce((text, one) => apply(text, one), seed));
}

function apply(text: string, { place, cut, insert }: Edit): string {
  const at = place % (text.length + 1);
  return text.slice(0, at) + insert + text.slice(at + cut);
}
