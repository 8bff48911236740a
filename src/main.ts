/** The process: arguments → command → exit code. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

// Before anything else is loaded, hence the import below. Not the default directory: that one is shared by all users of the
// machine, and whoever writes there first decides what runs.
enableCompileCache(join(import.meta.dirname, '../.cache/compile'));

// Every 64 KiB read from a server is memory outside the heap. V8 collects the whole heap after each 64 MB of it, five times
// a second while large answers pass, unless it counts it like any other memory. docs/performance.md has the figures.
setFlagsFromString('--external-memory-accounted-in-global-limit');

const { run } = await import('./cli/program.ts');
await run(process.argv);
