import type { Parts } from './check.js';
import type { Policy, Queue } from './server-state.js';
import { line, quoted } from './shell.js';

/** Lines that rabbitmqctl understands from 3.10 to 4.3. */

/**
 * Deletes a queue that was seen empty and unused. A classic queue is only deleted if it still is; a quorum queue does not
 * support that condition.
 */
export function deleteLine(vhost: string, { name, type }: Queue): string {
  const conditions = type === 'classic' ? ['--if-empty', '--if-unused'] : [];
  return line('rabbitmqctl', 'delete_queue', '-p', vhost, name, ...conditions);
}

export function policyLine(vhost: string, { name, pattern, definition, priority, applyTo }: Policy): string {
  const how = ['--priority', String(priority), '--apply-to', applyTo];
  return line('rabbitmqctl', 'set_policy', '-p', vhost, name, pattern, JSON.stringify(definition), ...how);
}

/** Declares queues, exchanges and bindings: `import_definitions` is rabbitmqctl's only way to do that. */
export function declareLine(
  vhost: string,
  { queues = [], exchanges = [], bindings = [] }: Parts,
): string | undefined {
  if (queues.length + exchanges.length + bindings.length === 0) return undefined;
  const definitions = {
    queues: queues.map(({ name, durable, autoDelete, arguments: args }) => ({
      name,
      vhost,
      durable,
      auto_delete: autoDelete,
      arguments: args,
    })),
    exchanges: exchanges.map(({ name, type, durable, autoDelete, internal, arguments: args }) => ({
      name,
      vhost,
      type,
      durable,
      auto_delete: autoDelete,
      internal,
      arguments: args,
    })),
    bindings: bindings.map(({ destination, source, routingKey, arguments: args }) => ({
      source,
      vhost,
      destination: destination.name,
      destination_type: destination.kind,
      routing_key: routingKey,
      arguments: args,
    })),
  };
  return `printf '%s' ${quoted(ascii(JSON.stringify(definitions)))} | rabbitmqctl import_definitions`;
}

/** The same JSON in ASCII, whatever the shell's locale does to other characters. */
function ascii(json: string): string {
  return json.replaceAll(
    /[^\u0020-\u007e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
