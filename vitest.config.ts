import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'fuzz/**/*.test.ts'],
    // Starts the PostgreSQL that the storage tests share.
    globalSetup: ['test/support/global-setup.ts'],
    // The summary comes last: its one line is what a reader or a script looks for.
    reporters: ['default', './test/support/summary-reporter.ts'],
    // Forks, because tests start servers and handle signals; three, because each may run a Prometheus of its own, and on two cores one
    // has something to do while the others wait.
    pool: 'forks',
    maxWorkers: 3,
    // Against what hangs; far beyond what a busy machine takes.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is waited for comes at once; a busy machine takes longer than the second that is the default.
    expect: { poll: { timeout: 20_000 } },
  },
});
