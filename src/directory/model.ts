/**
 * The directory: instance → groups (nested) → projects → environments, and the servers and tokens that attach to them.
 * These are the in-memory objects that the snapshot holds; they refer to each other directly.
 */

/** Where a server attaches or what a token opens. The instance has neither tokens nor endpoints. */
export type Level = 'instance' | 'group' | 'project' | 'environment';

export interface Group {
  readonly id: number;
  /** Full path, such as `acme/platform`. */
  readonly path: string;
  readonly parent: Group | null;
  readonly servers: readonly Server[];
}

export interface Project {
  readonly id: number;
  /** Full path, such as `acme/platform/shop`. */
  readonly path: string;
  readonly group: Group;
  readonly servers: readonly Server[];
}

export interface Environment {
  readonly id: number;
  readonly name: string;
  /** See `slug.ts`. Unique within the project. */
  readonly slug: string;
  /** Empty where none was declared. */
  readonly kubeNamespace: string;
  readonly project: Project;
  readonly servers: readonly Server[];
}

/** What a data-plane URL speaks for. */
export type Target =
  | { readonly level: 'group'; readonly group: Group }
  | { readonly level: 'project'; readonly project: Project }
  | { readonly level: 'environment'; readonly environment: Environment };

export const serverKinds = ['prometheus', 'victoriametrics', 'mimir', 'thanos'] as const;
export type ServerKind = (typeof serverKinds)[number];

export const verifications = ['server', 'local'] as const;
export type Verify = (typeof verifications)[number];

/** What `expose` may open beyond the default table (contract §5). */
export const exposable = ['targets', 'federate', 'status/tsdb'] as const;
export type Exposable = (typeof exposable)[number];

/** A Prometheus-compatible HTTP API that Promgate can ask. */
export interface Server {
  readonly id: number;
  readonly name: string;
  readonly level: Level;
  /** `http(s)://host[:port][/prefix]`, no user info, query, fragment or trailing slash. */
  readonly url: string;
  /** `*`, an exact environment name, or a pattern with `*` such as `review/*`. */
  readonly environmentScope: string;
  readonly enabled: boolean;
  /** `null`: not declared. */
  readonly kind: ServerKind | null;
  /** Label → values that confine an environment; templates such as `{{kube_namespace}}` unresolved. */
  readonly enforce: Readonly<Record<string, readonly string[]>>;
  /** Whether the server itself is asked how it reads a confined query, where it can tell. */
  readonly verify: Verify;
  readonly limits: ServerLimits;
  readonly expose: readonly Exposable[];
  readonly cache: ServerCache;
  /** Another one after every write of the server's record, and the same in every process. Tells nothing of what the record holds. */
  readonly revision: string;
  /** Whether it may connect only where `outbound` allows: people other than administrators and files say where to. */
  readonly restricted: boolean;
  /** `null`: the stored credentials could not be decrypted; such a server answers nothing, and nothing takes its place. */
  readonly connection: Connection | null;
}

/**
 * Overrides of the instance's `limits` for one server; the stricter of the two does not win, the server's does. And
 * `concurrency` and `rate`, which hold for all questions to the server together.
 */
export interface ServerLimits {
  /** Milliseconds. */
  readonly timeout?: number;
  /** Milliseconds of all that a question touches; 0: unlimited. */
  readonly maxRange?: number;
  /** Points per series, `(end - start) / step`. */
  readonly maxPoints?: number;
  /** Bytes of an answer's body as sent by the server. */
  readonly maxResponse?: number;
  /** Bytes of the query text after substitution. */
  readonly maxQueryBytes?: number;
  /** Levels of nesting of a query. */
  readonly maxDepth?: number;
  /** Questions that may run at once; 0: unlimited. */
  readonly concurrency?: number;
  /** Questions per second; 0: unlimited. */
  readonly rate?: number;
}

/** Overrides of the instance's `cache` for one server. Times are milliseconds. */
export interface ServerCache {
  /** Whether any of its answers are kept. */
  readonly enabled?: boolean;
  readonly recentWindow?: number;
  readonly maxAge?: number;
  readonly instant?: boolean;
  readonly metadataTtl?: number;
}

/** Everything about reaching a server that may hold a secret; encrypted at rest as one JSON document. */
export interface Connection {
  readonly auth:
    | { readonly basic: { readonly username: string; readonly password: string } }
    | { readonly bearer: string }
    | null;
  /** Fixed request headers; values may hold predefined variables. */
  readonly headers: Readonly<Record<string, string>>;
  /** Fixed query parameters; values may hold predefined variables. */
  readonly queryParams: Readonly<Record<string, string>>;
  readonly tls: Tls;
}

/** PEM texts; all optional. */
export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name to verify the certificate against and to send as SNI, where it differs from the URL's host. */
  readonly serverName?: string;
  readonly insecureSkipVerify?: boolean;
}

/** A token's record as the corridor needs it; never the secret. Times are Unix milliseconds. */
export interface Token {
  readonly id: number;
  readonly name: string;
  readonly username: string;
  readonly target: Target;
  readonly expiresAt: number | null;
  /** CIDR notations; empty: from anywhere. */
  readonly allowedNetworks: readonly string[];
  /** Lower-case hex SHA-256 of the current secret's text. */
  readonly hash: string;
  /** Hash of the secret before the last rotation, valid until `previousExpiresAt`. */
  readonly previousHash: string | null;
  readonly previousExpiresAt: number | null;
}
