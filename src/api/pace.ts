/** For what may be done only so often by somebody or to something, whatever it costs. Counted in this process. */
import { PromgateError } from '../errors.ts';

/** What counts one for a key. */
type Count = () => void;

/**
 * Throws `too_many_requests` for a key that was counted `most` times within `interval` milliseconds; else returns what counts it.
 * `reason` says so in words.
 */
export function pace(most: number, interval: number, reason: string): (key: string) => Count {
  /** When each was counted within the interval; the key that was counted last is at the end. */
  const counted = new Map<string, number[]>();
  return (key) => {
    const at = performance.now();
    const isRecent = (time: number) => at - time < interval;
    for (const [other, times] of counted) {
      if (times.some(isRecent)) break;
      counted.delete(other);
    }
    const recent = counted.get(key)?.filter(isRecent) ?? [];
    const [first = at] = recent;
    if (recent.length >= most) {
      const seconds = String(Math.ceil((first + interval - at) / 1000));
      throw new PromgateError('too_many_requests', `${reason}; try again in ${seconds}s`, {
        headers: { 'Retry-After': seconds },
      });
    }
    return () => {
      counted.delete(key);
      counted.set(key, [...recent, at]);
    };
  };
}
