import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { environmentSlug } from './slug.ts';

describe('environmentSlug', () => {
  // The names of GitLab's own specification (spec/lib/gitlab/slug/environment_spec.rb), whose hash is a stub there;
  // the suffixes here were worked out apart from this program, as the last six base-36 digits of the name's SHA-256.
  it.each([
    ['production', 'production'],
    ['staging-1234567890123456', 'staging-1234567890123456'],
    ['foo-', 'foo'],
    ['staging-12345678-', 'staging-12345678'],
    ['staging-12345678901234567', 'staging-123456789-s729ne'],
    ['9-staging-123456789012345', 'env-9-staging-123-f6hm7j'],
    ['staging-1234567890123456-', 'staging-123456789-y52hkh'],
    ['PRODUCTION', 'production-vl4voz'],
    ['review/1-foo', 'review-1-foo-9tdj0u'],
    ['1-foo', 'env-1-foo-1k46wz'],
    ['1/foo', 'env-1-foo-t4rmb4'],
    ['foo--bar', 'foo-bar-q006cp'],
    ['foo**bar', 'foo-bar-3jfdn1'],
    ['*-foo', 'env-foo-i1o6om'],
    ['staging-12345678-01234567', 'staging-12345678-f21q2q'],
  ])('gives %j the slug that GitLab gives it: %s', (name, slug) => {
    expect(environmentSlug(name)).toBe(slug);
  });

  it('starts with a letter, ends without a dash, repeats none and has at most 24 characters, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60, unit: fc.constantFrom(...'abzAZ09-_/. {}$é') }), (name) => {
        expect(environmentSlug(name)).toMatch(/^(?=.{1,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
      }),
    );
  });

  it('tells names apart that look alike once slugified', () => {
    const names = ['review/login', 'review-login', 'review_login', 'Review/Login', 'review//login', 'review.login'];
    expect(new Set(names.map(environmentSlug)).size).toBe(names.length);
  });
});
