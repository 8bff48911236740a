/** To what a server or a token belongs, in the columns of their tables. */
import type { Row } from './schema.ts';

export type TokenOwner = { readonly level: 'group' | 'project' | 'environment'; readonly id: number };
export type ServerOwner = { readonly level: 'instance' } | TokenOwner;

/** The three columns, of which at most one is set. */
export function ownerColumns(owner: ServerOwner): Pick<Row<'tokens'>, 'group_id' | 'project_id' | 'environment_id'> {
  return {
    group_id: owner.level === 'group' ? owner.id : null,
    project_id: owner.level === 'project' ? owner.id : null,
    environment_id: owner.level === 'environment' ? owner.id : null,
  };
}
