import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { TrustedIssuer } from '../../src/config/identity.ts';
import type { KeyPair } from './tls.ts';

export interface TokenIssuer {
  /** Also the claim `iss`. */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: string[];
  /** What it gives as its keys. */
  readonly jwks: { keys: JWK[] };
  /** Takes another key besides, which signs from now on; without `publish` nobody can know it. */
  addKey(kid: string, options?: { alg?: string; publish?: boolean }): Promise<void>;
  /** A token with these claims over those of a good one: `undefined` leaves one out. The header likewise. */
  sign(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** Its entry in the configuration, with what is given over it. */
  trusted(over?: Partial<TrustedIssuer>): TrustedIssuer;
  /** Answers what it says instead of what is asked for, until it is given `null`. */
  answer(instead: ((request: IncomingMessage, response: ServerResponse) => void) | null): void;
  stop(): Promise<void>;
}

/** The claims of a good token, beside `iss`: of a job of GitLab. */
export const goodClaims = {
  sub: 'project_path:acme/shop:ref_type:branch:ref:main',
  project_path: 'acme/shop',
  environment: 'production',
  ref_protected: 'true',
};

/** An issuer of tokens with its discovery document and keys on a loopback port; with `tls`, over https. */
export async function startTokenIssuer({ tls }: { tls?: KeyPair } = {}): Promise<TokenIssuer> {
  const asked: string[] = [];
  const jwks: { keys: JWK[] } = { keys: [] };
  let signing: { kid: string; alg: string; key: CryptoKey } | null = null;
  let instead: ((request: IncomingMessage, response: ServerResponse) => void) | null = null;
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    asked.push(request.url ?? '');
    if (instead !== null) instead(request, response);
    else if (request.url === '/.well-known/openid-configuration') {
      sendJson(response, { issuer: url, jwks_uri: `${url}/keys` });
    } else if (request.url === '/keys') sendJson(response, jwks);
    else response.writeHead(404).end();
  };
  const server = tls === undefined ? createServer(handle) : createSecureServer(tls, handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = `http${tls === undefined ? '' : 's'}://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;

  const issuer: TokenIssuer = {
    url,
    asked,
    jwks,
    async addKey(kid, { alg = 'ES256', publish = true } = {}) {
      const { privateKey, publicKey } = await generateKeyPair(alg);
      if (publish) jwks.keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' });
      signing = { kid, alg, key: privateKey };
    },
    async sign(claims = {}, header = {}) {
      if (signing === null) throw new Error('no key');
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: url, aud: 'promgate', iat: now, nbf: now, exp: now + 300, ...goodClaims, ...claims };
      const defined = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      return new SignJWT(defined).setProtectedHeader({ alg: signing.alg, kid: signing.kid, ...header }).sign(signing.key);
    },
    trusted: (over = {}) => ({
      name: 'ci',
      issuer: url,
      jwksUrl: null,
      ca: null,
      audience: 'promgate',
      clockSkew: 30_000,
      rules: [{ claims: { project_path: ['acme/*'], ref_protected: ['true'] }, opens: '{{project_path}}:{{environment}}' }],
      ...over,
    }),
    answer(next) {
      instead = next;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  await issuer.addKey('first');
  return issuer;
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
