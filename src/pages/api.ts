/** The API's document, for programs, and as a page for people. Both are public: they say what there is, and of nobody's. */
import type { FastifyInstance } from 'fastify';
import { sessionCookie } from '../access/session-cookie.ts';
import {
  type DocumentedOperation,
  type DocumentedOperationObject,
  type OpenApiDocument,
  openApiDocument,
  type ParameterObject,
} from '../api/openapi.ts';
import { type Field, fieldsOf, typeOf } from './api-fields.ts';
import { type Html, html } from './html.ts';
import { type Page, sendPage } from './layout.ts';
import { goTo, openPageScope, type PageScopeParts } from './scope.ts';

export interface ApiPageParts extends PageScopeParts {
  readonly version: string;
}

/** A plugin. */
export function apiPages(
  operations: readonly DocumentedOperation[],
  parts: ApiPageParts,
): (app: FastifyInstance, options: object, done: () => void) => void {
  let made: { externalUrl: string; document: OpenApiDocument; text: string; page: Page } | null = null;
  /** Another one only when the settings are others. */
  const current = () => {
    const { externalUrl } = parts.settings();
    if (made === null || made.externalUrl !== externalUrl) {
      const { name: cookie } = sessionCookie(externalUrl);
      const document = openApiDocument(operations, { externalUrl, cookie, version: parts.version });
      made = { externalUrl, document, text: JSON.stringify(document), page: pageOf(document, cookie) };
    }
    return made;
  };

  return (app, _options, done) => {
    openPageScope(app, parts);
    app.get('/-/api', (_request, reply) => goTo(reply, `${parts.settings().basePath}/-/api/`));
    app.get('/-/api/', (_request, reply) => sendPage(reply, 200, current().page));
    app.get('/-/api/openapi.json', (_request, reply) =>
      reply
        .headers({
          'Content-Type': 'application/json',
          'X-Content-Type-Options': 'nosniff',
          'Cache-Control': 'no-cache',
        })
        .send(Buffer.from(current().text)),
    );
    done();
  };
}

function pageOf(document: OpenApiDocument, cookie: string): Page {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const byTag = Map.groupBy(all, ({ operation }) => operation.tags[0] ?? '');
  const sections = Array.from(
    byTag,
    ([tag, own]) => html`<section>
<h2>${tag}</h2>
${own.map((each) => operationOf(each, document, cookie))}
</section>
`,
  );
  const body = html`<section>
<h1>The API</h1>
${prose(String(document.info.description))}
<p>All paths are below <code>${document.servers[0]?.url ?? ''}</code>. For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
</section>
${sections}`;
  return { title: 'API', body, wide: true };
}

interface Shown {
  readonly path: string;
  readonly method: string;
  readonly operation: DocumentedOperationObject;
}

function operationOf(shown: Shown, { components: { schemas }, servers }: OpenApiDocument, cookie: string): Html {
  const { path, method, operation } = shown;
  const { parameters = [], requestBody, responses } = operation;
  const body = requestBody === undefined ? [] : fieldsOf(requestBody.content['application/json'].schema, schemas);
  const answer = answerFields(responses, schemas);
  const refusals = Object.keys(responses).filter((status) => /^[45]/.test(status));
  return html`<details id="${operation.operationId}"><summary><code>${method} ${path}</code> ${operation.summary}</summary>
${prose(operation.description)}
${parameters.length === 0 ? null : html`<h3>Parameters</h3>${table(parameters.map((each) => parameterRow(each)))}`}
${body.length === 0 ? null : html`<h3>Body</h3>${table(body.map((field) => fieldRow(field, true)))}`}
${answer.length === 0 ? null : html`<h3>Answer</h3>${table(answer.map((field) => fieldRow(field, false)))}`}
<p class="quiet">Refused with ${refusals.join(', ')}.</p>
<pre><code>${curlLine(shown, servers[0]?.url ?? '', cookie)}</code></pre>
</details>
`;
}

function answerFields(
  responses: DocumentedOperationObject['responses'],
  schemas: OpenApiDocument['components']['schemas'],
): Field[] {
  const good = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
  const [content] = Object.values((good?.content ?? {}) as Record<string, { schema: Record<string, unknown> }>);
  return content === undefined ? [] : fieldsOf(content.schema, schemas);
}

type RowOfTable = readonly [name: string, type: string, note: string, meaning: string];

function parameterRow({ name, in: place, required, schema, description = '' }: ParameterObject): RowOfTable {
  const where = { path: 'in the path', query: '', header: 'a header' }[place];
  const note = [required && place !== 'path' ? 'needed' : '', where, standardOf(schema.default)];
  return [name, place === 'path' ? '' : typeOf(schema, {}), note.filter((each) => each !== '').join(', '), description];
}

/** Of what comes in, whether it has to. */
function fieldRow({ name, type, required, default: standard, meaning }: Field, incoming: boolean): RowOfTable {
  return [name, type, incoming ? (required ? 'needed' : standardOf(standard)) : '', meaning];
}

function standardOf(standard: unknown): string {
  return standard === undefined ? '' : `default ${JSON.stringify(standard)}`;
}

function table(rows: readonly RowOfTable[]): Html {
  const shown = rows.map(
    ([name, type, note, meaning]) =>
      html`<tr><td><code>${name}</code></td><td class="quiet">${type}${note === '' ? null : html`<br>${note}`}</td><td>${inline(meaning)}</td></tr>
`,
  );
  return html`<table><tbody>
${shown}</tbody></table>`;
}

/** As one types it. */
function curlLine({ path, method, operation }: Shown, base: string, cookie: string): string {
  const { parameters = [], requestBody, security } = operation;
  const filled = parameters.reduce(
    (text, { name, in: place, example = '' }) => (place === 'path' ? text.replace(`{${name}}`, example) : text),
    path,
  );
  const query = parameters.flatMap(({ name, in: place, required, example = '' }) =>
    place === 'query' && required ? [`${name}=${example}`] : [],
  );
  const url = `${base}${filled}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const headers = [
    ...credentials(security, cookie),
    ...parameters.filter(({ name, required }) => name === 'If-Match' && required).map(() => 'If-Match: *'),
    ...(requestBody === undefined ? [] : ['Content-Type: application/json']),
  ];
  const data = requestBody?.content['application/json'].example;
  return [
    'curl -sS',
    ...(method === 'GET' || (method === 'POST' && data !== undefined) ? [] : [`-X ${method}`]),
    ...headers.map((header) => `-H ${quoted(header)}`),
    ...(data === undefined ? [] : [`-d ${quoted(JSON.stringify(data))}`]),
    quoted(url),
  ].join(' ');
}

function credentials(security: DocumentedOperationObject['security'], cookie: string): string[] {
  if (security.length === 0) return [];
  if (security.some((way) => 'personalToken' in way)) return ['Authorization: Bearer promgate_api_…'];
  return [`Cookie: ${cookie}=…`, ...(security.some((way) => 'csrf' in way) ? ['X-CSRF-Token: …'] : [])];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Paragraphs, with what stands between back-quotes as code. */
function prose(text: string): Html[] {
  return text.split('\n\n').map(
    (paragraph) => html`<p>${inline(paragraph)}</p>
`,
  );
}

function inline(text: string): Html[] {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
}
