import { type PermissionName, permissions, scopes } from '../access/permissions.ts';
import { roles } from '../access/roles.ts';
import type { DocumentedOperation } from './openapi.ts';

/** The text of `docs/permissions.md`; `npm run docs` writes it there. */
export function permissionReference(operations: readonly DocumentedOperation[]): string {
  const names = Object.keys(permissions) as PermissionName[];
  const ofPermission = (name: PermissionName) => operations.filter(({ permission }) => permission === name);
  return `# Who may do what

<!-- Made from src/access/permissions.ts and the operations of the API by \`npm run docs\`. Change it there. -->

People have a role on a group or a project. It reaches everything below: a maintainer of \`acme\` is one of \`acme/platform/shop\`, too.
Of several roles the highest counts. Each role includes those before it: ${roles.join(', ')}. Administrators may do everything, and
they alone may do it to the instance itself: its servers, groups at the top, the whole audit log.

What somebody may not do is answered like what does not exist: \`404\`. A refused change stands in the [audit log](audit.md).

The code looks here for every question to an endpoint and every operation of the [API](api.md), so there is nothing that is allowed and not in this table.

| permission | from the role | allows | scope of personal tokens |
|---|---|---|---|
${names.map(row).join('\n')}

## Scopes of personal tokens

A personal token does what its user may do and its scopes name, no more. No scope includes another: \`write\` does not include \`read\`.
What needs no scope a personal token may never do: it cannot make another token, end sessions or change the password.

| scope | operations of the API |
|---|---|
${scopes
  .map((scope) => {
    const own = operations.filter(({ permission }) => permission !== null && permissions[permission].scope === scope);
    return `| \`${scope}\` | ${listOf(own)} |`;
  })
  .join('\n')}
| none: signed in alone | ${listOf(operations.filter(({ permission }) => permission !== null && permissions[permission].scope === null))} |

## Operations

| permission | operations of the API |
|---|---|
${names.map((name) => `| \`${name}\` | ${listOf(ofPermission(name))} |`).join('\n')}

## Endpoints

| who | opens |
|---|---|
| token of an environment, project or group | that, and what lies below it; read-only |
| [workload identity](workload-identity.md) | what the rules of its issuer say; read-only |
| person with the role reporter | the endpoints of the group or project and all below, signed in in the browser |
| personal token | no endpoint |
`;
}

function row(name: PermissionName): string {
  const { role, scope, meaning } = permissions[name];
  const who = { admin: 'administrators', self: 'everybody, on what is theirs' }[role as string] ?? role;
  return `| \`${name}\` | ${who} | ${meaning} | ${scope === null ? 'none: signed in alone' : `\`${scope}\``} |`;
}

function listOf(operations: readonly DocumentedOperation[]): string {
  return operations.map(({ method, path }) => `\`${method} ${path}\``).join(', ');
}
