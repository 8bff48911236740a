/** Writing in batches what is collected in memory. */

/**
 * Calls `flush` every `interval` milliseconds, one call at a time, however long one takes; and once more when it is closed. `flush` sees to
 * its own failures.
 */
export function flushEvery(interval: number, flush: () => Promise<void>): { close(): Promise<void> } {
  let writing = Promise.resolve();
  const timer = setInterval(() => {
    writing = writing.then(flush);
  }, interval);
  return {
    async close() {
      clearInterval(timer);
      await writing.then(flush);
    },
  };
}
