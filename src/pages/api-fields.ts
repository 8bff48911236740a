/** Fields of a JSON Schema as the rows of a table, those of objects inside under dotted names. */
import type { JsonSchema } from '../api/openapi-schemas.ts';

export interface Field {
  /** Such as `auth.basic.username`, `items[].id`. */
  readonly name: string;
  /** For people: `text`, `whole number or null`, `one of a, b`. */
  readonly type: string;
  /** Must be there. */
  readonly required: boolean;
  readonly default?: unknown;
  readonly meaning: string;
}

type Schemas = Readonly<Record<string, JsonSchema>>;

/** All fields of an object; of a list or reference those of what is in it. */
export function fieldsOf(schema: JsonSchema, schemas: Schemas, prefix = ''): Field[] {
  const found = resolved(schema, schemas);
  const { items, additionalProperties } = found;
  if (isSchema(items)) return fieldsOf(items, schemas, `${prefix}[]`);
  const variants = variantsOf(found);
  if (variants.length > 0) return distinct(variants.flatMap((variant) => fieldsOf(variant, schemas, prefix)));
  const { properties = {}, required = [] } = found as { properties?: Schemas; required?: readonly string[] };
  const own = Object.entries(properties).flatMap(([key, value]): Field[] => {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    const { description, default: standard } = value;
    const field: Field = {
      name,
      type: typeOf(value, schemas),
      required: required.includes(key),
      meaning: typeof description === 'string' ? description : '',
      ...(standard === undefined ? {} : { default: standard }),
    };
    return [field, ...fieldsOf(value, schemas, name)];
  });
  return isSchema(additionalProperties) ? [...own, ...fieldsOf(additionalProperties, schemas, `${prefix}.*`)] : own;
}

/** The type in words. */
export function typeOf(schema: JsonSchema, schemas: Schemas): string {
  const { type, enum: values, const: value, items, format, additionalProperties, ...rest } = resolved(schema, schemas);
  const variants = variantsOf(rest);
  if (variants.length > 0) return [...new Set(variants.map((variant) => typeOf(variant, schemas)))].join(' or ');
  if (Array.isArray(values)) return `one of ${values.join(', ')}`;
  if (value !== undefined) return String(value);
  if (Array.isArray(type)) return type.map((each) => typeOf({ type: each }, schemas)).join(' or ');
  if (type === 'array') return `list of ${isSchema(items) ? typeOf(items, schemas) : 'anything'}`;
  if (isSchema(additionalProperties)) return `object of ${typeOf(additionalProperties, schemas)}`;
  if (format === 'date-time') return 'time';
  return words[String(type)] ?? 'anything';
}

const words: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
  object: 'object',
  null: 'null',
};

function variantsOf({ anyOf, oneOf }: JsonSchema): JsonSchema[] {
  return [anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list.filter(isSchema) : []));
}

function resolved(schema: JsonSchema, schemas: Schemas): JsonSchema {
  const { $ref } = schema;
  if (typeof $ref !== 'string') return schema;
  const found = schemas[$ref.slice('#/components/schemas/'.length)];
  if (found === undefined) throw new Error(`the document of the API has no ${$ref}`);
  return found;
}

/** A field of several variants is one, of all their types. */
function distinct(fields: readonly Field[]): Field[] {
  const byName = Map.groupBy(fields, ({ name }) => name);
  return Array.from(byName.values(), ([first, ...more]) => {
    const types = new Set([first, ...more].map((field) => field?.type));
    return { ...(first as Field), type: [...types].join(' or ') };
  });
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
