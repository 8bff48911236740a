import { userInfo } from 'node:os';
import type { Actor } from '../ops/audit.ts';

/** Who runs this command, for the audit log. */
export async function actorHere(): Promise<Actor> {
  const { commandLineActor } = await import('../ops/audit.ts');
  return commandLineActor(systemUser());
}

/** A container may run with a number that no account has. */
function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
