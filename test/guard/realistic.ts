import fc from 'fast-check';

/** A query about the tenants' data in two texts: as a client writes it, and with a matcher added by hand to each selector. */
export interface TwoTexts {
  readonly plain: string;
  readonly byHand: string;
}

/** Stands for the matcher: inside braces after others, or with braces of its own. */
const place = '\u0001';
const ownBraces = '\u0002';

/** Queries as dashboards and attackers write them. Needs no parser: the places of the matcher are known from the start. */
export function realisticQuery(matcher: string): fc.Arbitrary<TwoTexts> {
  return query.map((template) => ({
    plain: template.replaceAll(place, '').replaceAll(ownBraces, ''),
    byHand: template.replaceAll(place, `,${matcher}`).replaceAll(ownBraces, `{${matcher}}`),
  }));
}

const gauges = ['up', 'node_load1', 'target_info'];
const counters = ['http_requests_total', 'shop_orders_total', 'secret_b_total', 'http_request_duration_seconds_count'];
const values = ['shop-prod', 'secret-b', 'shop', 'secretb', 'shop-0:8080', 'shop-1:8080', '200', 'secretb-1', ''];
const regexes = ['.+', '.*', 'shop.*', 'secret.*', 'shop-prod|secret-b', '(?i)shop-PROD', '', '|web', '[^s].*', '5..'];
const labels = ['namespace', 'job', 'instance', 'code', 'secretb_zone', 'tier', 'le'];

const matcher = fc.oneof(
  fc.tuple(fc.constantFrom(...labels), fc.constantFrom('=', '!='), fc.constantFrom(...values)),
  fc.tuple(fc.constantFrom(...labels), fc.constantFrom('=~', '!~'), fc.constantFrom(...regexes)),
);
const matcherText = matcher.map(([label, op, value]) => `${label}${op}"${value}"`);
const matchers = fc.array(matcherText, { maxLength: 2 });

function selectorOf(names: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...names), matchers).map(([name, list]) => {
    return list.length === 0 ? `${name}${ownBraces}` : `${name}{${list.join(',')}${place}}`;
  });
}
const nameless = fc
  .tuple(fc.constantFrom('up|secret_b_total', 'node.+', '.+_total'), matchers)
  .map(([names, list]) => `{${[`__name__=~"${names}"`, ...list].join(',')}${place}}`);

const gauge = selectorOf(gauges);
const counter = selectorOf(counters);
const modifier = fc.constantFrom('', '', '', ' offset 5m', ' offset -5m', ' @ 1748767000', ' @ start()', ' @ end() offset 1m');
const range = fc.constantFrom('[1m]', '[5m]', '[20m]');
const grouping = fc.constantFrom(
  '',
  ' by (job)',
  ' by (namespace)',
  ' without (instance)',
  ' by (le, job)',
  ' by (secretb_zone)',
);
const matching = fc.constantFrom(
  '',
  ' on (job, instance)',
  ' ignoring (code, le)',
  ' on ()',
  ' on (instance) group_left (version)',
);

const { vector: query } = fc.letrec<{ vector: string; scalar: string; matrix: string }>((tie) => ({
  scalar: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('1', '2', '0.9', 'time()'),
    tie('vector').map((inner) => `scalar(${inner})`),
  ),
  matrix: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(fc.oneof(gauge, counter), range, modifier).map((parts) => parts.join('')),
    fc
      .tuple(tie('vector'), fc.constantFrom('[5m:1m]', '[2m:30s]'), modifier)
      .map(([inner, ...rest]) => `(${inner})${rest.join('')}`),
  ),
  vector: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(fc.oneof(gauge, counter, nameless), modifier).map((parts) => parts.join('')),
    call(['rate', 'increase', 'delta', 'max_over_time', 'count_over_time', 'absent_over_time', 'changes'], tie('matrix')),
    call(['abs', 'absent', 'sort', 'timestamp', 'ceil', 'sgn'], tie('vector')),
    fc
      .tuple(fc.constantFrom('sum', 'avg', 'count', 'max', 'group'), grouping, tie('vector'))
      .map(([op, by, inner]) => `${op}${by} (${inner})`),
    fc
      .tuple(fc.constantFrom('topk', 'bottomk', 'quantile'), grouping, tie('scalar'), tie('vector'))
      .map(([op, by, param, inner]) => `${op}${by} (${param}, ${inner})`),
    tie('vector').map((inner) => `count_values("namespace", ${inner})`),
    tie('vector').map((inner) => `label_replace(${inner}, "namespace", "shop-prod", "job", ".*")`),
    fc.tuple(tie('scalar'), tie('vector')).map(([q, inner]) => `histogram_quantile(${q}, ${inner})`),
    fc.tuple(tie('vector'), tie('scalar')).map(([inner, limit]) => `clamp_max(${inner}, ${limit})`),
    fc
      .tuple(tie('vector'), fc.constantFrom('+', '/', '*', '> bool', '==', '-'), matching, tie('vector'))
      .map(([lhs, op, on, rhs]) => `(${lhs}) ${op}${on} (${rhs})`),
    fc
      .tuple(tie('vector'), fc.constantFrom('and', 'or', 'unless'), fc.constantFrom('', ' on (job)', ' on ()'), tie('vector'))
      .map(([lhs, op, on, rhs]) => `(${lhs}) ${op}${on} (${rhs})`),
    fc.tuple(tie('vector'), tie('scalar')).map(([lhs, rhs]) => `(${lhs}) * ${rhs}`),
    tie('vector').map((inner) => `-(${inner}) # or secret_b_total\n`),
  ),
}));

function call(names: readonly string[], inner: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...names), inner).map(([name, argument]) => `${name}(${argument})`);
}
