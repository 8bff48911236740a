/** Leaves alone for a while what fails again and again, then tries it once. */

export interface Breaker {
  /** Whether it may be tried now. Whoever may reports back, by one of the other two. */
  allows(): boolean;
  /** Whether it is left alone, or being tried after that. */
  readonly open: boolean;
  passed(): void;
  /** `startedAt`: when it was tried, by `performance.now()`. What fails together counts once: it may have one cause. */
  failed(startedAt: number, reason: string): void;
}

export interface BreakerEvents {
  /** It is left alone from now on; the reason is that of the last failure. */
  opened(reason: string): void;
  /** A try went well. */
  closed(): void;
}

/** Failures in a row, one started after the other had failed. */
const FAILURES = 5;
/** Milliseconds until the next try. */
const PAUSE = 5_000;

/** `now` is a clock of milliseconds that never goes back. */
export function createBreaker(events: BreakerEvents, now: () => number = () => performance.now()): Breaker {
  let failures = 0;
  /** What started before this is not counted any more. */
  let since = 0;
  /** When the next try may be; `null`: it is not left alone. */
  let openUntil: number | null = null;
  let trying = false;

  return {
    allows() {
      if (openUntil === null) return true;
      if (trying || now() < openUntil) return false;
      trying = true;
      since = now();
      return true;
    },
    get open() {
      return openUntil !== null;
    },
    passed() {
      failures = 0;
      trying = false;
      if (openUntil === null) return;
      openUntil = null;
      events.closed();
    },
    failed(startedAt, reason) {
      if (startedAt < since) return;
      since = now();
      if (openUntil !== null) {
        // A failure to connect while nothing is tried puts nothing off.
        if (trying) openUntil = now() + PAUSE;
        trying = false;
      } else if (++failures >= FAILURES) {
        openUntil = now() + PAUSE;
        events.opened(reason);
      }
    },
  };
}
