/** Whom Promgate believes: OpenID providers for people, token issuers for programs. Sections of the configuration file. */
import type { Role } from '../access/roles.ts';

/** An OpenID provider that people sign in with. */
export interface OidcProvider {
  /** Part of URLs: lower-case letters, digits and `-`. */
  readonly name: string;
  /** On the sign-in page. */
  readonly label: string;
  /** As in its discovery document; no trailing slash is added or taken away. */
  readonly issuer: string;
  readonly clientId: string;
  /** `null`: a public client. */
  readonly clientSecret: string | null;
  /** Beside `openid`. */
  readonly scopes: readonly string[];
  /** PEM; `null`: the authorities that Node.js trusts. */
  readonly ca: string | null;
  /** The claim that a new user's username is taken from. */
  readonly usernameClaim: string;
  /** Whether somebody without an account gets one. */
  readonly signUp: boolean;
  /** Whether an identity is linked to the user with the same e-mail address, where the provider says that it is verified. */
  readonly linkByEmail: boolean;
  readonly rules: readonly RoleRule[];
}

/** Gives a role to whoever's claim is `value`, or is a list that has it. */
export interface RoleRule {
  /** As `claimAt` (`access/claims.ts`) reads it. */
  readonly claim: string;
  readonly value: string;
  readonly gives: { readonly admin: true } | { readonly role: Role; readonly on: string };
}

/** An issuer of JWTs for programs: jobs, controllers. */
export interface TrustedIssuer {
  readonly name: string;
  /** Exactly as in the claim `iss`. */
  readonly issuer: string;
  /** Where its keys are; `null`: as its discovery document says. */
  readonly jwksUrl: string | null;
  /** PEM; `null`: the authorities that Node.js trusts. */
  readonly ca: string | null;
  /** Has to be in the claim `aud`. */
  readonly audience: string;
  /** Milliseconds. */
  readonly clockSkew: number;
  readonly rules: readonly WorkloadRule[];
}

/** Opens an environment, project or group to tokens with all these claims. */
export interface WorkloadRule {
  /** Claim, as `claimAt` reads it → its value or one of its values; `*` in a value stands for any characters. Never empty. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  /** Such as `acme/shop:production`, `acme/shop`, `acme`, or, never for a group, with claims in it: `{{project_path}}:{{environment}}`. */
  readonly opens: string;
}
