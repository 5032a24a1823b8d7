import { ConnectionError } from '../../errors.js';
import { isQueueType, type MemoryQueueType, QUEUE_TYPES } from './queue-arguments.js';
import { BEHAVIOURS, isServerVersion, type ServerVersion } from './version.js';

/** An embedded broker to use, parsed from its URL. */
export interface MemoryAddress {
  readonly label: string;
  /** Undefined: a private broker. */
  readonly name: string | undefined;
  readonly version: ServerVersion;
  /** The type of a queue that could be replicated and is declared without a type. */
  readonly defaultQueueType: MemoryQueueType;
}

/** Whether a URL means the embedded broker. */
export function isMemoryUrl(text: string): boolean {
  return /^memory:/i.test(text);
}

/**
 * Parses `memory:` or `memory://name`, each with an optional `?as=3.13|4.0|4.3` and
 * `?defaultQueueType=classic|quorum|stream`.
 *
 * @throws ConnectionError with the code INVALID_URL
 */
export function parseMemoryAddress(text: string): MemoryAddress {
  const parts = /^memory:(?:\/\/([^/?#]*)\/?)?(?:\?(.*))?$/is.exec(text);
  if (!parts) throw invalid('nothing but a name and a query follows the scheme');
  const [, encodedName = '', query = ''] = parts;
  const name = decode(encodedName);
  const parameters = new URLSearchParams(query);
  for (const parameter of parameters.keys()) {
    if (parameter !== 'as' && parameter !== 'defaultQueueType')
      throw invalid(`it has a parameter '${parameter.slice(0, 20)}'`);
  }
  const version = parameters.get('as') ?? '4.3';
  if (!isServerVersion(version)) {
    throw invalid(
      `its version is '${version.slice(0, 20)}', known are ${Object.keys(BEHAVIOURS).join(', ')}`,
    );
  }
  const defaultQueueType = parameters.get('defaultQueueType') ?? 'classic';
  if (!isQueueType(defaultQueueType)) {
    const got = defaultQueueType.slice(0, 20);
    throw invalid(`its default queue type is '${got}', known are ${QUEUE_TYPES.join(', ')}`);
  }
  return {
    label: name === '' ? 'memory:' : `memory://${encodedName}`,
    name: name === '' ? undefined : name,
    version,
    defaultQueueType,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("its name has a '%' that does not begin an escape");
  }
}

function invalid(reason: string): ConnectionError {
  return new ConnectionError(
    'INVALID_URL',
    `Invalid broker URL: ${reason}. Expected memory: or memory://name, with ?as=3.13, 4.0 or 4.3 to behave as that version of RabbitMQ`,
  );
}
