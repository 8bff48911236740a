/** The process: arguments → command → exit code. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Before anything else is loaded, hence the import below. Not the default directory: that one is shared by all users of the
// machine, and whoever writes there first decides what runs.
enableCompileCache(join(import.meta.dirname, '../.cache/compile'));

const { run } = await import('./cli/program.ts');
await run(process.argv);
