import type { Run } from './command.js';

/** Each is loaded when it runs, so that no command waits for the code of another. */
const programs: Readonly<Record<string, () => Promise<Run>>> = {
  doctor: async () => (await import('./commands/doctor.js')).run,
  queues: async () => (await import('./commands/queues.js')).run,
  send: async () => (await import('./commands/send.js')).run,
  tail: async () => (await import('./commands/tail.js')).run,
  'dead list': async () => (await import('./commands/dead.js')).list,
  'dead show': async () => (await import('./commands/dead.js')).show,
  'dead replay': async () => (await import('./commands/dead.js')).replay,
  'dead purge': async () => (await import('./commands/dead.js')).purge,
  bench: async () => (await import('./commands/bench.js')).run,
  asyncapi: async () => (await import('./commands/asyncapi.js')).run,
  completion: async () => (await import('./commands/completion.js')).run,
};

/** The program of a command, by its name. */
export async function programOf(name: string): Promise<Run> {
  const load = programs[name];
  if (!load) throw new Error(`the command '${name}' has no program`);
  return load();
}
