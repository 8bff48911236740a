/** The composition root: every part is built here, once, and handed to those that need it. */
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import manifest from '../package.json' with { type: 'json' };
import { trackLastUsed } from './access/last-used.ts';
import { networkMatcher } from './access/networks.ts';
import { createOidc } from './access/oidc.ts';
import { dropMissingProviders } from './access/oidc-removal.ts';
import { setupLink } from './access/one-time-links.ts';
import { createWorkloads } from './access/workload.ts';
import { cachePurge } from './api/cache-purge.ts';
import { controlApi } from './api/control-api.ts';
import { operations } from './api/operations/index.ts';
import { promqlCheck } from './api/promql-check.ts';
import { questionRoutes } from './api/question-routes.ts';
import { type Cache, createCache } from './cache/cache.ts';
import { type PurgeSubject, purge } from './cache/purge.ts';
import { createSharedTier } from './cache/shared-tier.ts';
import type { Settings } from './config/settings.ts';
import type { Server, Target } from './directory/model.ts';
import { watchDirectory } from './directory/watch.ts';
import { type CorridorParts, createCorridor } from './gateway/corridor.ts';
import type { GatewaySettings } from './gateway/entrance.ts';
import { createGateway } from './gateway/listener.ts';
import { followAnswers } from './gateway/running.ts';
import { createGuard } from './guard/decide.ts';
import { createRates } from './guard/rates.ts';
import type { Actor } from './ops/audit.ts';
import { createOpsListener } from './ops/listener.ts';
import { createLog, type Log } from './ops/log.ts';
import { createMetrics } from './ops/metrics.ts';
import { createRefusals } from './ops/refusals.ts';
import { trackUsage } from './ops/usage.ts';
import { apiPages } from './pages/api.ts';
import { oidcPages } from './pages/oidc.ts';
import { pages } from './pages/pages.ts';
import type { PageSettings } from './pages/scope.ts';
import { createPeople } from './people.ts';
import { pruneChanges } from './storage/changes.ts';
import { openKeyring } from './storage/crypto.ts';
import { openDatabase } from './storage/database.ts';
import { checkKey, hasKey } from './storage/key-check.ts';
import { pruneOld } from './storage/prune.ts';
import { createAskServer } from './upstream/collect.ts';
import { createPools } from './upstream/pools.ts';
import { createAskStream } from './upstream/stream.ts';

/** How long running answers may take to finish once a stop was asked for. */
const GRACE = 30_000;
/** How long a stop waits for the parts that answers need no more: the database may not answer. */
const CLOSING = 5_000;
const PRUNE_INTERVAL = 3_600_000;
const FIRST_PRUNE = 60_000;
/** How soon what a removed OpenID provider gave is taken away where the database did not answer. */
const DROP_RETRY = 2_000;
/** A process that was away for more changes than this reads the directory whole. */
const KEPT_CHANGES = 100_000;

/** A running Promgate. */
export interface Promgate {
  /** Where it listens, which is not always `external_url`. */
  readonly url: string;
  readonly opsUrl: string;
  /** Where to make the first administrator, once; `null`: there is one. A secret. */
  readonly setupUrl: string | null;
  /** Takes over new settings, but for those that need a restart (`needRestart`). */
  reload(settings: Settings): void;
  /** Stops taking requests, lets running answers finish for up to 30 s, and closes everything. */
  close(): Promise<void>;
}

/** Starts everything; throws, with nothing left open, when a part cannot start. `overrides` are for tests. */
export async function startPromgate(settings: Settings, overrides: { log?: Log } = {}): Promise<Promgate> {
  const log = overrides.log ?? createLog(settings.logLevel);
  const opened: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (const close of opened.reverse())
      await close().catch((error: unknown) => log.warn('a part could not be closed', {}, error));
  };
  try {
    const database = await openDatabase(settings);
    opened.push(() => database.close());
    const keyring = openKeyring(settings, { create: !(await hasKey(database)) });
    await checkKey(database, keyring);
    let current = settings;
    const pools = createPools(() => current.outbound.allow);
    opened.push(() => pools.destroy());
    let cache: Cache | null = null;
    const watch = await watchDirectory(database, keyring, log, (directory) => {
      pools.keepOnly(directory.servers());
      cache?.refresh(directory);
    });
    opened.push(() => watch.close());
    const lastUsed = trackLastUsed(database, log, 'tokens');
    opened.push(() => lastUsed.close());
    const prune = async (): Promise<void> => {
      await database.write((trx) => pruneChanges(trx, KEPT_CHANGES));
      await pruneOld(database, { retention: current.audit.retention, now: Date.now() });
    };
    const pruneNow = () => {
      prune().catch((error: unknown) => log.warn('what has had its time could not be removed', {}, error));
    };
    const pruning = setInterval(pruneNow, PRUNE_INTERVAL);
    // A process that is started anew every day has to do it, too.
    const firstPruning = setTimeout(pruneNow, FIRST_PRUNE);
    opened.push(async () => clearTimeout(firstPruning));
    opened.push(async () => clearInterval(pruning));

    const metrics = createMetrics(
      manifest.version,
      () => watch.current(),
      () => cache?.size() ?? { bytes: 0, entries: 0 },
    );
    let stopping = false;
    let gatewaySettings = forGateway(settings);
    const noteUpstream = (server: Server, outcome: string, seconds: number) => metrics.upstream(server.name, outcome, seconds);
    const askServer = createAskServer(pools, noteUpstream);
    const { memory, redisUrl } = settings.cache;
    const tier =
      memory === 0 || redisUrl === ''
        ? null
        : createSharedTier({ url: redisUrl, secret: keyring.derive('shared cache'), onOutcome: metrics.sharedCache, log });
    opened.push(async () => tier?.close());
    cache = createCache({
      memory,
      shadow: () => current.cache.shadow,
      tier,
      log,
      saved: metrics.cachePointsSaved,
      compared: metrics.cacheCompared,
    });
    const guard = createGuard({ ask: askServer, alarm: (reason) => metrics.rejection(reason) });
    const directory = () => watch.current();
    const people = await createPeople({
      database,
      keyring,
      log,
      directory,
      settings: () => current,
      gatewaySettings: () => gatewaySettings,
    });
    opened.push(() => people.close());
    const refusals = createRefusals(database, log);
    opened.push(() => refusals.close());
    const usage = trackUsage(database, log);
    opened.push(() => usage.close());
    const parts: CorridorParts = {
      directory,
      signedIn: people.signedIn,
      workloads: createWorkloads({ issuers: () => current.workloadIdentity.issuers, directory, log }),
      used: usage.note,
      guard,
      cache,
      askStream: createAskStream(pools, noteUpstream),
      askServer,
      rates: createRates(),
      metrics,
      log,
      settings: () => gatewaySettings,
      tokenUsed: (token, now) => lastUsed.note(token.id, now),
      stopping: () => stopping,
    };
    const gateway = createGateway(createCorridor(parts), () => gatewaySettings.basePath);
    const questionParts = { ...parts, withPersonalToken: people.withPersonalToken, checkCsrf: people.checkCsrf };
    await gateway.register(promqlCheck(questionParts));
    const purging = {
      directory: parts.directory,
      log,
      purge: (subject: PurgeSubject, actor: Actor, endpoint: Target | null) => purge(database, subject, actor, endpoint),
    };
    await gateway.register(cachePurge({ ...questionParts, ...purging }));
    const oidc = createOidc({
      database,
      keyring,
      log,
      refusals,
      providers: () => current.oidc.providers,
      externalUrl: () => current.externalUrl,
      sessions: () => current.sessions,
    });
    const services = {
      ...people,
      oidc,
      database,
      keyring,
      directory,
      refresh: watch.refresh,
      askServer,
      settings: parts.settings,
      allSettings: () => current,
      refusals,
    };
    await gateway.register(controlApi(operations, { ...parts, ...services }));
    const pageParts = { ...parts, ...services, settings: () => pageSettings(current, gatewaySettings) };
    await gateway.register(pages(pageParts));
    await gateway.register(oidcPages({ ...pageParts, oidc }));
    await gateway.register(apiPages([...operations, ...questionRoutes], { ...pageParts, version: manifest.version }));
    let droppingAgain: NodeJS.Timeout | undefined;
    opened.push(async () => clearTimeout(droppingAgain));
    const dropProviders = (): Promise<void> =>
      dropMissingProviders(database, current.oidc.providers).catch((error: unknown) => {
        log.error('what removed OpenID providers gave could not be taken away; it is tried again', {}, error);
        clearTimeout(droppingAgain);
        if (!stopping) droppingAgain = setTimeout(() => void dropProviders(), DROP_RETRY);
      });
    await dropProviders();
    const answers = followAnswers(gateway.server);
    const ops = createOpsListener(metrics, () => !stopping && watch.fresh(), purging);
    await listenAt('ops_listen', settings.opsListen, (at) => ops.listen(at));
    opened.push(() => ops.close());
    await listenAt('listen', settings.listen, (at) => gateway.listen(at));

    const setupUrl = await setupLink(database, settings.externalUrl);
    log.info('started', {
      version: manifest.version,
      listen: addressOf(gateway.server.address()),
      ops: addressOf(ops.server.address()),
      ...watch.current().size,
    });
    return {
      url: `http://${addressOf(gateway.server.address())}`,
      opsUrl: `http://${addressOf(ops.server.address())}`,
      setupUrl,
      reload(next) {
        for (const key of needRestart(current, next)) log.warn('a changed setting needs a restart', { key });
        current = next;
        gatewaySettings = forGateway(next);
        void dropProviders();
        log.setLevel(next.logLevel);
        log.info('settings reloaded');
      },
      async close() {
        stopping = true;
        log.info('stopping');
        const force = setTimeout(() => {
          log.warn('answers that were still running after 30 s are cut off');
          gateway.server.closeAllConnections();
        }, GRACE);
        // Connections that clients keep for later, or opened and never used, would hold it up.
        void answers.none().then(() => gateway.server.closeAllConnections());
        await gateway.close();
        clearTimeout(force);
        await Promise.race([closeAll(), delay(CLOSING, undefined, { ref: false })]);
        log.info('stopped');
        log.flush();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function forGateway(settings: Settings): GatewaySettings {
  return {
    basePath: new URL(settings.externalUrl).pathname.replace(/\/$/, ''),
    limits: settings.limits,
    cache: settings.cache,
    corsOrigins: settings.cors.origins,
    isTrustedProxy: networkMatcher(settings.trustedProxies),
  };
}

function pageSettings(settings: Settings, { basePath, isTrustedProxy }: GatewaySettings): PageSettings {
  const { externalUrl, sessions, oidc } = settings;
  return { externalUrl, basePath, sessions, isTrustedProxy, providers: oidc.providers };
}

function needRestart(before: Settings, after: Settings): string[] {
  const fixed = (settings: Settings) => ({
    listen: settings.listen,
    ops_listen: settings.opsListen,
    data_dir: settings.dataDir,
    database_url: settings.databaseUrl,
    secret_key: settings.secretKey,
    'cache.memory': settings.cache.memory,
    'cache.redis_url': settings.cache.redisUrl,
  });
  const next = new Map<string, unknown>(Object.entries(fixed(after)));
  return Object.entries(fixed(before)).flatMap(([key, value]) =>
    JSON.stringify(value) === JSON.stringify(next.get(key)) ? [] : [key],
  );
}

/** The system's refusal in words that name the setting. */
async function listenAt(
  key: string,
  at: Settings['listen'],
  listen: (at: Settings['listen']) => Promise<unknown>,
): Promise<void> {
  try {
    await listen(at);
  } catch (error) {
    const reasons: Record<string, string> = {
      EADDRINUSE: 'is taken by another process',
      EACCES: 'may not be used by this user',
      EADDRNOTAVAIL: 'is no address of this machine',
    };
    const reason = reasons[(error as { code?: string }).code ?? ''];
    if (reason === undefined) throw error;
    throw new Error(`${key}: ${at.host}:${at.port} ${reason}; set another one (--${key.replace('_', '-')})`, { cause: error });
  }
}

function addressOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') throw new Error('not listening on a TCP port');
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
