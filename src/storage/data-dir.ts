import { mkdirSync } from 'node:fs';

/** Creates the data directory, for its owner alone, unless it exists. Throws with the path in the message. */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`The data directory ${dataDir} cannot be created (${error instanceof Error ? error.message : error}).`);
  }
}
