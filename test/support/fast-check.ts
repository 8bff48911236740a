/**
 * fast-check with the same cases in each run, so that a change fails for what it does and not for what was drawn. `TEST_SEED` draws
 * others.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.TEST_SEED ?? 1) });

export { fc };
