/** What the records of servers may hold: the same in a resource file and in the API, but for where secrets come from. */
import { z } from 'zod';
import { duration, filled, oneOrMore, type Problem, shape, text, written } from '../config/shapes.ts';
import { parseSize } from '../config/units.ts';
import { rate } from '../config/values.ts';
import { exposable, type ServerCache, type ServerLimits, serverKinds, type Tls, verifications } from './model.ts';
import { environmentScopeProblem } from './paths.ts';
import * as values from './resource-values.ts';

type Plain<T> = { [K in keyof T]: T[K] };

const longestTimeout = 86_400_000;

/**
 * What each key of a server holds where it is given; `null` takes back what was there. `secret` reads a secret that `problem` accepts.
 * What several of them must fulfil together is in `resource-checks.ts`.
 */
export function serverValues(secret: (problem: Problem) => z.ZodType<string>) {
  const auth = shape({
    basic: shape({
      username: secret((text) => (text.includes(':') ? 'must not hold a colon' : filled(text))),
      password: secret(filled),
    }).optional(),
    bearer: secret((text) => (/^[\x21-\x7e]+$/.test(text) ? null : 'must be printable characters without blanks')).optional(),
    // `resource-checks.ts` sees to it that there is exactly one of the two.
  }).transform(({ basic, bearer }) => (basic !== undefined ? { basic } : bearer !== undefined ? { bearer } : null));

  const tls = shape({
    ca: secret(values.certificateProblem).optional(),
    cert: secret(values.certificateProblem).optional(),
    key: secret(values.privateKeyProblem).optional(),
    server_name: text((name) => (/^[A-Za-z0-9_.-]+$/.test(name) ? null : 'must be a host name')).optional(),
    insecure_skip_verify: z.boolean().optional(),
  }).transform(({ server_name, insecure_skip_verify, ...pem }, context): Tls => {
    if (pem.cert !== undefined && pem.key !== undefined && !values.keyFits(pem.cert, pem.key)) {
      context.addIssue({ code: 'custom', path: ['key'], message: 'is not the key of the certificate in "cert"' });
    }
    return present({ ...pem, serverName: server_name, insecureSkipVerify: insecure_skip_verify || undefined });
  });

  return {
    name: text((name) => (/^[A-Za-z0-9_.][A-Za-z0-9_. -]{0,62}$/.test(name) ? null : serverNameRule)).meta({
      description: 'Unique where it attaches. Users see it in error messages.',
    }),
    url: text(values.serverUrlProblem)
      .transform(values.normalizeServerUrl)
      .meta({ description: '`http://` or `https://`, host, port, path prefix. No user, query or fragment.' }),
    environment_scope: text(environmentScopeProblem).meta({
      description: 'Which environments it speaks for: a name, a pattern such as `review/*`, or all (`*`).',
    }),
    enabled: z.boolean().meta({ description: 'A disabled server answers nothing.' }),
    kind: z.enum(serverKinds).nullable().meta({ description: 'null: asked of the server.' }),
    auth: auth.nullable().meta({ description: 'One of the two; null: none.' }),
    headers: record(values.headerNameProblem, secret(values.headerValueProblem)).meta({
      description: 'Fixed request headers. Values may hold variables such as `{{kube_namespace}}`.',
    }),
    query_params: record(values.queryParameterNameProblem, secret(values.templateProblem)).meta({
      description: 'Fixed query parameters; none that Prometheus has itself. Values may hold variables.',
    }),
    tls: tls.nullable().meta({ description: '`ca`, `cert` and `key` are texts in PEM.' }),
    enforce: record(values.labelNameProblem, oneOrMore(text((value) => filled(value) ?? values.templateProblem(value)))).meta({
      description: 'Label: value, or a list of values. Confines every question to these series. Values may hold variables.',
    }),
    limits: limits.nullable().meta({ description: 'What is left out is as in the configuration.' }),
    cache: cache.nullable().meta({ description: 'What is left out is as in the configuration.' }),
    expose: z
      .array(z.enum(exposable))
      .nullable()
      .transform((names) => [...new Set(names)])
      .meta({ description: 'Opens more of Prometheus’ API; not together with `enforce`.' }),
    verify: z.enum(verifications).meta({ description: 'Whether the server itself is asked how it reads a confined query.' }),
  };
}

/** A whole server: `name` and `url` are needed, the others have their defaults. */
export function serverFields(secret: (problem: Problem) => z.ZodType<string>) {
  const each = serverValues(secret);
  return {
    ...each,
    environment_scope: each.environment_scope.default('*'),
    enabled: each.enabled.default(true),
    kind: each.kind.default(null),
    auth: each.auth.default(null),
    headers: each.headers.default({}),
    query_params: each.query_params.default({}),
    tls: each.tls.default(null),
    enforce: each.enforce.default({}),
    limits: each.limits.default(null),
    cache: each.cache.default(null),
    expose: each.expose.default([]),
    verify: each.verify.default('server'),
  };
}

export type ServerSpec = ReturnType<typeof serverSpec>;

const serverNameRule = 'may hold only letters, digits, ".", "_", "-" and spaces, at most 63, and starts with no "-" or space';

const limits = shape({
  timeout: duration(1, longestTimeout, 'must be over 0 and at most 1d').optional(),
  max_range: duration(0, Number.MAX_SAFE_INTEGER, 'must be 0 or more').optional(),
  max_points: count(1, 'must be a whole number over 0').optional(),
  max_response: size().optional(),
  max_query_bytes: size().optional(),
  max_depth: count(1, 'must be a whole number over 0').optional(),
  concurrency: count(0, 'must be a whole number of 0 or more').optional(),
  rate: written(readRate).optional(),
}).transform(
  (raw): ServerLimits =>
    present({
      timeout: raw.timeout,
      maxRange: raw.max_range,
      maxPoints: raw.max_points,
      maxResponse: raw.max_response,
      maxQueryBytes: raw.max_query_bytes,
      maxDepth: raw.max_depth,
      concurrency: raw.concurrency,
      rate: raw.rate,
    }),
);

const cache = shape({
  enabled: z.boolean().optional(),
  recent_window: duration(0, Number.MAX_SAFE_INTEGER, 'must be 0 or more').optional(),
  max_age: duration(1, Number.MAX_SAFE_INTEGER, 'must be over 0').optional(),
  instant: z.boolean().optional(),
  metadata_ttl: duration(0, Number.MAX_SAFE_INTEGER, 'must be 0 or more').optional(),
}).transform(
  (raw): ServerCache =>
    present({
      enabled: raw.enabled,
      recentWindow: raw.recent_window,
      maxAge: raw.max_age,
      instant: raw.instant,
      metadataTtl: raw.metadata_ttl,
    }),
);

/** The model's `Server` without what the directory adds: its id, level and revision. */
export function serverSpec(raw: z.output<z.ZodObject<ReturnType<typeof serverFields>>>) {
  return {
    name: raw.name,
    url: raw.url,
    environmentScope: raw.environment_scope,
    enabled: raw.enabled,
    kind: raw.kind,
    enforce: raw.enforce,
    limits: raw.limits ?? {},
    cache: raw.cache ?? {},
    verify: raw.verify,
    expose: raw.expose,
    connection: { auth: raw.auth, headers: raw.headers, queryParams: raw.query_params, tls: raw.tls ?? {} },
  };
}

function record<T extends z.ZodType>(keyProblem: Problem, value: T) {
  return z
    .record(text(keyProblem), value)
    .nullable()
    .transform((entries) => entries ?? {});
}

function size() {
  return written((raw) => {
    const bytes = parseSize(raw);
    return bytes ? { value: bytes } : { problem: 'must be a size over 0, such as 64MiB, 128KiB, 10MB or plain bytes' };
  });
}

function count(least: number, rule: string) {
  return z.int({ error: rule }).min(least, { error: rule });
}

function readRate(raw: string): { value: number } | { problem: string } {
  const reading = rate(raw, '');
  return 'value' in reading ? reading : { problem: 'must be a number of requests per second, such as 20 or 0.5, or 0' };
}

type Present<T> = Plain<
  { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & { [K in keyof T]?: Exclude<T[K], undefined> }
>;

/** Drops the keys that were not given, so that what is stored and compared holds only those that were. */
function present<T extends Record<string, unknown>>(all: T): Present<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Present<T>;
}
