/**
 * An OpenID provider on loopback that does one thing wrong, as it is told: for what a real one cannot be made to do. What it is
 * asked it checks to the letter.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import type { KeyPair } from './tls.ts';

type Json = Record<string, unknown>;

export interface Keys {
  readonly current: CryptoKey;
  /** Of somebody else: not among those that are published. */
  readonly stranger: CryptoKey;
}

/** What is done wrong; all else is right. */
export interface Forgery {
  readonly discovery?: (document: Json) => Json;
  /** Of the ID token. */
  readonly claims?: (claims: JWTPayload) => JWTPayload;
  /** The ID token as a whole. */
  readonly sign?: (claims: JWTPayload, keys: Keys) => Promise<string>;
  readonly userinfo?: (claims: Json) => Json;
  /** What the browser brings back. */
  readonly back?: (parameters: URLSearchParams) => void;
  /** Paths that get another answer than the right one: status and body; `null`: none at all. */
  readonly instead?: Readonly<Record<string, { status: number; body: string } | null>>;
}

export interface ForgedProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  forge(forgery: Forgery): void;
  /** New keys from now on, published under another id. */
  rotate(): Promise<void>;
  readonly asked: string[];
  /** Requests that were not as the specification has them. */
  readonly violations: string[];
  stop(): Promise<void>;
}

interface Code {
  readonly redirectUri: string;
  readonly challenge: string;
  readonly nonce: string;
}

export async function startForgedProvider({ tls }: { tls?: KeyPair } = {}): Promise<ForgedProvider> {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response).catch((error: Error) => {
      violations.push(error.message);
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: 'invalid_request' }));
    });
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http${tls === undefined ? '' : 's'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [clientId, clientSecret] = ['promgate', 'secret'];
  const codes = new Map<string, Code>();
  const asked: string[] = [];
  const violations: string[] = [];
  const stranger = (await generateKeyPair('RS256')).privateKey;
  let generation = 0;
  let pair = await generateKeyPair('RS256', { extractable: true });
  let forgery: Forgery = {};

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', issuer);
    asked.push(url.pathname);
    const other = forgery.instead?.[url.pathname];
    if (other === null) return;
    if (other !== undefined) {
      response.writeHead(other.status, { 'content-type': 'application/json' }).end(other.body);
      return;
    }
    if (url.pathname === '/authorize') {
      response.writeHead(303, { location: authorize(url.searchParams) }).end();
      return;
    }
    const body = await json(url.pathname, request);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  async function json(path: string, request: IncomingMessage): Promise<Json> {
    if (path === '/.well-known/openid-configuration') return (forgery.discovery ?? same)(discovery());
    if (path === '/jwks') {
      return { keys: [{ ...(await exportJWK(pair.publicKey)), kid: `k${generation}`, alg: 'RS256', use: 'sig' }] };
    }
    if (path === '/token') return token(request, new URLSearchParams(await text(request)));
    must(path === '/userinfo', `asked for ${path}`);
    must(request.headers.authorization === 'Bearer access', 'the access token');
    return (forgery.userinfo ?? same)({ sub: 's1', preferred_username: 'forged' });
  }

  function discovery(): Json {
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      userinfo_endpoint: `${issuer}/userinfo`,
      id_token_signing_alg_values_supported: ['RS256'],
    };
  }

  function authorize(parameters: URLSearchParams): string {
    const [redirectUri, state, nonce, challenge] = ['redirect_uri', 'state', 'nonce', 'code_challenge'].map(
      (name) => parameters.get(name) ?? '',
    ) as [string, string, string, string];
    must(parameters.get('response_type') === 'code', 'response_type');
    must(parameters.get('client_id') === clientId, 'client_id');
    must(parameters.get('scope')?.split(' ').includes('openid') === true, 'scope');
    must(parameters.get('code_challenge_method') === 'S256' && challenge.length === 43, 'PKCE');
    must(state.length >= 32 && nonce.length >= 32, 'state and nonce');
    const code = randomUUID();
    codes.set(code, { redirectUri, challenge, nonce });
    const back = new URL(redirectUri);
    for (const [name, value] of Object.entries({ code, state })) back.searchParams.set(name, value);
    forgery.back?.(back.searchParams);
    return back.href;
  }

  async function token({ method, headers }: IncomingMessage, form: URLSearchParams): Promise<Json> {
    const code = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    must(method === 'POST' && code !== undefined, 'a code that is good once');
    must(
      headers.authorization === `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'client authentication',
    );
    must(form.get('grant_type') === 'authorization_code' && form.get('redirect_uri') === code?.redirectUri, 'redirect_uri');
    const verifier = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    must(verifier === code?.challenge, 'code_verifier');
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, sub: 's1', aud: clientId, nonce: code?.nonce, iat: now, exp: now + 60 };
    const sign = forgery.sign ?? ((each, { current }) => signed(each, current, `k${generation}`));
    const idToken = await sign((forgery.claims ?? same)(claims), { current: pair.privateKey, stranger });
    return { access_token: 'access', token_type: 'Bearer', expires_in: 60, id_token: idToken };
  }

  function must(right: boolean, what: string): void {
    if (!right) throw new Error(`wrong: ${what}`);
  }

  return {
    issuer,
    clientId,
    clientSecret,
    forge(next) {
      forgery = next;
    },
    async rotate() {
      generation++;
      pair = await generateKeyPair('RS256', { extractable: true });
    },
    asked,
    violations,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A JWT with RS256. */
export function signed(claims: JWTPayload, key: CryptoKey, kid = 'k0'): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).sign(key);
}

function same<T>(value: T): T {
  return value;
}

async function text(request: IncomingMessage): Promise<string> {
  let whole = '';
  for await (const chunk of request) whole += String(chunk);
  return whole;
}
