/**
 * For random cases: the same ones in each run, so that a change fails for what it does and not for what was drawn. `TEST_SEED` draws
 * others.
 */
export const seed = Number(process.env.TEST_SEED ?? 1);
