import { PromgateError } from '../errors.ts';
import type { Row } from '../storage/schema.ts';
import { findUser } from '../storage/users.ts';
import { hashNewPassword, ownActor, setPassword } from './accounts.ts';
import { checkPassword, type PasswordParts } from './sign-in.ts';

export interface PasswordChange {
  readonly current: string;
  readonly next: string;
  /** That asks for it, and goes on. */
  readonly sessionId: number;
  readonly address: string;
  readonly requestId: string;
}

/**
 * A new password for the own account; all its other sessions end. The current one is asked for and attempts are throttled as at a
 * sign-in: a browser left open must not do to take the account over. Whoever has none gets one by a one-time link. Throws
 * `forbidden` where the current one is wrong, `bad_data` for a new one that cannot be, `too_many_requests`, `unavailable`.
 */
export async function changePassword(
  parts: PasswordParts,
  { id, username }: Pick<Row<'users'>, 'id' | 'username'>,
  { current, next, sessionId, address, requestId }: PasswordChange,
  now = Date.now(),
): Promise<void> {
  const typed = { username, password: current, address, requestId };
  const { user: known, attempt } = await checkPassword(parts, typed, now).catch((error: unknown) => {
    if (error instanceof PromgateError && error.code === 'unauthorized') throw wrong();
    throw error;
  });
  const hash = await hashNewPassword(parts.passwords, next, username).catch(async (error: unknown) => {
    await attempt.withdraw();
    throw error;
  });
  await parts.database.write(async (trx) => {
    const user = await findUser(trx, id);
    if (user === undefined || user.state !== 'active' || user.password_hash !== known.password_hash) throw wrong();
    await attempt.succeeded(trx);
    await setPassword(trx, user, hash, { actor: ownActor(user, address, requestId), keepSession: sessionId, now });
  });
}

function wrong(): PromgateError {
  return new PromgateError('forbidden', 'the current password is wrong');
}
