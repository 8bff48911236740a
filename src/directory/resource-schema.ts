/** The shape of a resource file (contract §9) and what its single values may be. What concerns several of them at once is in `resource-checks.ts`. */
import { z } from 'zod';
import {
  duration,
  filled,
  list,
  oneOrMore,
  type Problem,
  record,
  secret as secretFrom,
  shape,
  text,
  written,
} from '../config/shapes.ts';
import { parseSize } from '../config/units.ts';
import { rate } from '../config/values.ts';
import { exposable, type ServerCache, type ServerLimits, serverKinds, type Tls, type Verify, verifications } from './model.ts';
import { environmentNameProblem, environmentScopeProblem, groupPathProblem, projectPathProblem } from './paths.ts';
import type { SecretSources } from './resource-secrets.ts';
import * as values from './resource-values.ts';
import { environmentSlug } from './slug.ts';

type Plain<T> = { [K in keyof T]: T[K] };

const longestTimeout = 86_400_000;

/** A reader for whole resource files; secrets come from `sources`. The output is {@link ResourceFile}. */
export function resourceSchema(sources: SecretSources) {
  const secret = (problem: Problem = () => null) => secretFrom(sources, problem);

  const auth = shape({
    basic: shape({
      username: secret((text) => (text.includes(':') ? 'must not hold a colon' : filled(text))),
      password: secret(filled),
    }).optional(),
    bearer: secret((text) => (/^[\x21-\x7e]+$/.test(text) ? null : 'must be printable characters without blanks')).optional(),
    // `resource-checks.ts` sees to it that there is exactly one.
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

  const anyServer = {
    name: text((name) => (/^[A-Za-z0-9_.][A-Za-z0-9_. -]{0,62}$/.test(name) ? null : serverNameRule)),
    url: text(values.serverUrlProblem).transform(values.normalizeServerUrl),
    enabled: z.boolean().default(true),
    kind: z.enum(serverKinds).nullish(),
    auth: auth.nullish(),
    headers: record(values.headerNameProblem, secret(values.headerValueProblem)),
    query_params: record(values.queryParameterNameProblem, secret(values.templateProblem)),
    tls: tls.nullish(),
    enforce: record(values.labelNameProblem, oneOrMore(text((value) => filled(value) ?? values.templateProblem(value)))),
    limits: limits.nullish(),
    cache: cache.nullish(),
    expose: list(z.enum(exposable)),
    verify: z.enum(verifications).default('server'),
  };
  const server = shape({ ...anyServer, environment_scope: text(environmentScopeProblem).default('*') }).transform(serverSpec);
  // A server of one environment speaks for no other: a scope there could only switch it off.
  const environmentServer = shape(anyServer).transform((raw) => serverSpec({ ...raw, environment_scope: '*' }));

  const environment = shape({
    name: text(environmentNameProblem),
    kube_namespace: text(kubeNamespaceProblem).default(''),
    servers: list(environmentServer),
  }).transform(({ name, kube_namespace, servers }) => {
    return { name, slug: environmentSlug(name), kubeNamespace: kube_namespace, servers };
  });

  return shape({
    servers: list(server),
    groups: list(shape({ path: text(groupPathProblem), servers: list(server) })),
    projects: list(shape({ path: text(projectPathProblem), environments: list(environment), servers: list(server) })),
  });
}

export type ResourceFile = z.output<ReturnType<typeof resourceSchema>>;
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

interface RawServer {
  name: string;
  url: string;
  environment_scope: string;
  enabled: boolean;
  kind?: (typeof serverKinds)[number] | null | undefined;
  auth?: { basic: { username: string; password: string } } | { bearer: string } | null | undefined;
  headers: Record<string, string>;
  query_params: Record<string, string>;
  tls?: Tls | null | undefined;
  enforce: Record<string, string[]>;
  limits?: ServerLimits | null | undefined;
  cache?: ServerCache | null | undefined;
  verify: Verify;
  expose: (typeof exposable)[number][];
}

/** The model's `Server` without what the directory adds: its id, level and revision. */
function serverSpec(raw: RawServer) {
  return {
    name: raw.name,
    url: raw.url,
    environmentScope: raw.environment_scope,
    enabled: raw.enabled,
    kind: raw.kind ?? null,
    enforce: raw.enforce,
    limits: raw.limits ?? {},
    cache: raw.cache ?? {},
    verify: raw.verify,
    expose: [...new Set(raw.expose)],
    connection: { auth: raw.auth ?? null, headers: raw.headers, queryParams: raw.query_params, tls: raw.tls ?? {} },
  };
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

function kubeNamespaceProblem(name: string): string | null {
  if (name === '' || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return null;
  return 'must be a Kubernetes namespace: at most 63 lower-case letters, digits and "-", none at the ends';
}

type Present<T> = Plain<
  { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & { [K in keyof T]?: Exclude<T[K], undefined> }
>;

/** Drops the keys that were not given, so that what is stored and compared holds only those that were. */
function present<T extends Record<string, unknown>>(all: T): Present<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Present<T>;
}
