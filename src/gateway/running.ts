/** Which answers are under way, for a stop that lets them finish and waits for nothing else. */
import type { Server } from 'node:http';

export interface RunningAnswers {
  /** Resolves as soon as no request is being answered. */
  none(): Promise<void>;
}

/** Follows the server's requests from now on. */
export function followAnswers(server: Server): RunningAnswers {
  let running = 0;
  let wake = () => {};
  server.on('request', (_request, response) => {
    running++;
    response.once('close', () => {
      running--;
      if (running === 0) wake();
    });
  });
  return {
    none: () =>
      new Promise((resolve) => {
        wake = resolve;
        if (running === 0) resolve();
      }),
  };
}
