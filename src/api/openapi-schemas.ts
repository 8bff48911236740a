/** The shapes of operations as JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them), each under a name of its own. */
import { z } from 'zod';
import type { DocumentedOperation } from './openapi.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Components {
  readonly schemas: Readonly<Record<string, JsonSchema>>;
  /** `{ $ref }` to the component that was made of the schema. */
  refTo(schema: z.ZodType): JsonSchema;
}

/** Where the operation's id makes no good name. */
const names: Readonly<Record<string, string>> = {
  exportAuditEvents: 'AuditEvent',
  createToken: 'IssuedToken',
  createPersonalToken: 'IssuedPersonalToken',
  checkQuery: 'Explanation',
};

/** `getServer` → `Server`, `listServers` → `ServersPage`, `resolve` → `ResolveAnswer`. */
function answerName(id: string): string {
  const known = names[id];
  if (known !== undefined) return known;
  if (/^get[A-Z]/.test(id)) return id.slice(3);
  return /^list[A-Z]/.test(id) ? `${id.slice(4)}Page` : `${capital(id)}Answer`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What is the same shape in several operations is one component, named for the first of them. */
export function componentsOf(operations: readonly DocumentedOperation[]): Components {
  const registries = { input: z.registry<{ id: string }>(), output: z.registry<{ id: string }>() };
  const ids = new Map<z.ZodType, string>();
  const add = (io: 'input' | 'output', schema: z.ZodType, id: string) => {
    if (ids.has(schema)) return;
    ids.set(schema, id);
    registries[io].add(schema, { id });
  };
  // The things themselves before what holds them, so that they get the names.
  const things = operations.filter(({ id }) => /^(get|export)/.test(id));
  for (const { id, answer } of [...things, ...operations]) if (answer !== null) add('output', answer, answerName(id));
  for (const { id, body } of operations) if (body !== undefined) add('input', body, `${capital(id)}Request`);
  return {
    schemas: { ...schemasIn(registries.output, 'output'), ...schemasIn(registries.input, 'input') },
    refTo(schema) {
      const id = ids.get(schema);
      if (id === undefined) throw new Error('a schema that no operation has');
      return { $ref: uriOf(id) };
    },
  };
}

/** The schema of each parameter of a query. */
export function parametersOf(query: z.ZodObject): { name: string; required: boolean; schema: JsonSchema }[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input', override: simplify('input') });
  return Object.entries(properties).map(([name, schema]) => {
    return { name, required: required.includes(name), schema: schema as JsonSchema };
  });
}

function schemasIn(registry: z.core.$ZodRegistry<{ id?: string }>, io: 'input' | 'output'): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(registry, { io, uri: uriOf, override: simplify(io) });
  return Object.fromEntries(Object.entries(schemas).map(([id, { $id: _id, $schema: _schema, ...schema }]) => [id, schema]));
}

function uriOf(id: string): string {
  return `#/components/schemas/${id}`;
}

/** Takes out what says nothing: the range of exact numbers, patterns beside formats; and what later answers may break. */
function simplify(io: 'input' | 'output') {
  return ({ jsonSchema: schema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void => {
    if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
    if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
    if (schema.format !== undefined) delete schema.pattern;
    if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties;
    const { propertyNames } = schema;
    if (typeof propertyNames === 'object' && Object.keys(propertyNames).join() === 'type') delete schema.propertyNames;
  };
}
