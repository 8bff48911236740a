/**
 * What single values of a resource file may be. The `…Problem` functions say what is wrong, never repeating the value
 * (it may be a secret), or `null`.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';

/** The variables of contract §7 that depend on the environment alone, not on a question. */
export const templateVariables = [
  'ci_environment_slug',
  'ci_environment_name',
  'ci_project_name',
  'ci_project_namespace',
  'ci_project_path',
  'kube_namespace',
] as const;
const templateVariable = new RegExp(`\\{\\{\\s*(?:${templateVariables.join('|')})\\s*\\}\\}`, 'g');

/** `{{name}}` of an unknown name, or braces that do not pair: would be sent as written, which nobody wants. */
export function templateProblem(text: string): string | null {
  if (!/\{\{|\}\}/.test(text.replaceAll(templateVariable, ''))) return null;
  return `may hold only these variables in double braces: ${templateVariables.join(', ')}`;
}

/** Characters: what follows takes the longer the longer the text is, and no server's URL is longer. */
const maxUrl = 2_048;

/** `http(s)://host[:port][/prefix]` and nothing more: the rest belongs to the question or to `auth`. */
export function serverUrlProblem(text: string): string | null {
  if (text.length > maxUrl) return `must have at most ${maxUrl} characters`;
  if (!/^https?:\/\//i.test(text)) return 'must start with http:// or https://';
  if (/[\s\\]/.test(text) || !URL.canParse(text)) return 'is not a URL such as http://127.0.0.1:9090';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    return 'must not hold a user name or password: they would show up in logs; write them under "auth"';
  }
  if (text.includes('?')) return 'must not hold a query: fixed parameters go under "query_params"';
  return text.includes('#') ? 'must not hold a fragment (#…): it is never sent' : null;
}

/** As the directory keeps it: normalised, without trailing slashes. */
export function normalizeServerUrl(text: string): string {
  return new URL(text).href.replace(/\/+$/, '');
}

/** RFC 9110 §7.6.1 (hop by hop), and what Promgate sets itself on each request to a server. */
const takenHeaders = new Map<string, string>([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'].map(hopByHop),
  ...['proxy-authenticate', 'proxy-authorization'].map(hopByHop),
  ...['accept', 'accept-encoding', 'content-encoding', 'content-length', 'content-type', 'expect', 'host'].map(setByPromgate),
  ...['user-agent', 'x-request-id'].map(setByPromgate),
]);

function hopByHop(name: string): [string, string] {
  return [name, 'belongs to a single connection and cannot be fixed'];
}

function setByPromgate(name: string): [string, string] {
  return [name, 'is set by Promgate itself'];
}

/** RFC 9110 §5.1: a header's name is a token. */
export function headerNameProblem(name: string): string | null {
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return 'is not a header name';
  return takenHeaders.get(name.toLowerCase()) ?? null;
}

/** RFC 9110 §5.5 without obsolete forms: no control characters, nothing beyond Latin-1, no blanks at the ends. */
export function headerValueProblem(value: string): string | null {
  if (!/^[\t\x20-\x7e\xa0-\xff]*$/.test(value)) return 'must not hold control characters or characters beyond Latin-1';
  if (value !== value.trim()) return 'must not start or end with a blank';
  return templateProblem(value);
}

/** What Prometheus' endpoints take, so what a question may bring along (contract §5). */
const questionParameters = new Set([
  ...['query', 'match', 'match[]', 'time', 'start', 'end', 'step', 'timeout', 'limit', 'stats', 'lookback_delta'],
  ...['metric', 'limit_per_metric', 'type', 'rule_name[]', 'rule_group[]', 'file[]', 'exclude_alerts', 'state'],
]);

export function queryParameterNameProblem(name: string): string | null {
  if (name === '' || /\p{Cc}/u.test(name)) return 'is not a parameter name';
  return questionParameters.has(name.toLowerCase()) ? 'is a parameter of Prometheus itself: the question decides it' : null;
}

export function labelNameProblem(name: string): string | null {
  if (name === '__name__') return 'cannot be enforced: it is the name of the metric';
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) ? null : 'is not a label name';
}

const beginCertificate = '-----BEGIN CERTIFICATE-----';
const endCertificate = '-----END CERTIFICATE-----';

/** One or more certificates in PEM. */
export function certificateProblem(pem: string): string | null {
  // Cut and not matched by an expression: one that looks for an end after each beginning takes minutes for a text of beginnings.
  const [, ...blocks] = pem.split(beginCertificate);
  if (blocks.length === 0 || !pem.includes(endCertificate)) {
    return 'is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)';
  }
  const bad = blocks.findIndex((block) => {
    const [body = '', ...rest] = block.split(endCertificate);
    return rest.length === 0 || !parses(() => new X509Certificate(`${beginCertificate}${body}${endCertificate}`));
  });
  if (bad < 0) return null;
  return blocks.length === 1 ? 'holds a damaged certificate' : `holds a damaged certificate, the ${bad + 1}. of ${blocks.length}`;
}

export function privateKeyProblem(pem: string): string | null {
  if (parses(() => createPrivateKey(pem))) return null;
  return /ENCRYPTED/.test(pem) ? 'is encrypted; only a plain private key can be used' : 'is not a private key in PEM form';
}

/** Whether `cert`'s first certificate is for `key`; both must have parsed. */
export function keyFits(cert: string, key: string): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}

function parses(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}
