/** Bytes that all answers together may hold while they are on their way. */

export interface Budget {
  /** Takes bytes where there are as many left; false: there are not, and nothing was taken. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function createBudget(bytes: number): Budget {
  let left = bytes;
  return {
    take(wanted) {
      if (wanted > left) return false;
      left -= wanted;
      return true;
    },
    give(back) {
      left += back;
    },
  };
}
