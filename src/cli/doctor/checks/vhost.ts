import type { Check, Draft } from '../check.js';
import { contractNeeds, type Need, ownNeeds } from '../names.js';
import type { Permissions } from '../server-state.js';
import { isPlainName, line } from '../shell.js';
import type { Survey } from '../survey.js';

type Right = keyof Permissions;

const RIGHTS: readonly Right[] = ['configure', 'write', 'read'];

const NOTHING: Permissions = { configure: '', write: '', read: '' };

const EVERYTHING: Permissions = { configure: '.*', write: '.*', read: '.*' };

export const vhostNotFound: Check = {
  id: 'vhost-not-found',
  run(survey) {
    const { greeting, where, contracts } = survey;
    if (greeting.vhost.status !== 'not-found') return [];
    const message = `There is no virtual host '${where.vhost}'. Make it, and let '${where.username}' use it.`;
    const granted = contracts.length === 0 ? EVERYTHING : extended(NOTHING, missingFor(survey, NOTHING));
    const lines = isPlainName(where.vhost)
      ? [line('rabbitmqctl', 'add_vhost', where.vhost), ...setPermissions(survey, granted)]
      : [];
    return [{ severity: 'error', subject: where.vhost, message, remedy: { kind: 'lines', lines } }];
  },
};

export const permissions: Check = {
  id: 'permissions',
  run(survey) {
    const { greeting, where } = survey;
    if (greeting.vhost.status === 'not-found')
      return { skipped: `the virtual host '${where.vhost}' does not exist` };
    const isRefused = greeting.vhost.status === 'refused';
    if ('missing' in survey.permissions && !isRefused) return { skipped: survey.permissions.missing };
    const granted = 'value' in survey.permissions ? survey.permissions.value : NOTHING;
    const missing = missingFor(survey, granted);
    if (isRefused) {
      const message = `The user '${where.username}' may not use the virtual host '${where.vhost}' at all.`;
      return [draft(survey, message, extended(granted, missing))];
    }
    if (missing.every(({ right }) => right.length === 0)) return [];
    const lacks = missing
      .filter(({ right }) => right.length > 0)
      .map(({ name, right }) => `${name} on ${listed(right.map((need) => need.names[0] ?? ''))}`);
    const message = `The user '${where.username}' lacks permissions in '${where.vhost}': ${lacks.join('; ')}.`;
    return [draft(survey, message, extended(granted, missing))];
  },
};

interface Missing {
  readonly name: Right;
  readonly right: readonly Need[];
}

function draft(survey: Survey, message: string, granted: Permissions): Draft {
  const { username } = survey.where;
  const lines = setPermissions(survey, granted);
  return { severity: 'error', subject: username, message, remedy: { kind: 'lines', lines } };
}

/** What is required but not granted, for each of the three permissions. */
function missingFor({ contracts }: Survey, granted: Permissions): readonly Missing[] {
  const needs = [...ownNeeds(), ...contractNeeds(contracts)];
  return RIGHTS.map((name) => ({
    name,
    right: needs.filter((need) => need[name] && !need.names.every((it) => allows(granted[name], it))),
  }));
}

/** As the server checks: a match anywhere in the name, and an empty expression allows nothing. */
function allows(expression: string, name: string): boolean {
  if (expression === '') return false;
  try {
    return new RegExp(expression, 'u').test(name);
  } catch {
    // Erlang supports more than JavaScript does: an expression that cannot be parsed is assumed to match.
    return true;
  }
}

/** What was granted before, and what is missing. */
function extended(granted: Permissions, missing: readonly Missing[]): Permissions {
  const all = missing.map(({ name, right }) => {
    const patterns = [...new Set(right.map(({ pattern }) => pattern))];
    if (patterns.length === 0) return [name, granted[name]] as const;
    const added = `^(?:${patterns.join('|')})$`;
    const isNothing = granted[name] === '' || granted[name] === '^$';
    return [name, isNothing ? added : `(?:${granted[name]})|${added}`] as const;
  });
  return Object.fromEntries(all) as unknown as Permissions;
}

function setPermissions(
  { where: { vhost, username } }: Survey,
  { configure, write, read }: Permissions,
): string[] {
  if (!isPlainName(username) || !isPlainName(vhost)) return [];
  return [line('rabbitmqctl', 'set_permissions', '-p', vhost, username, configure, write, read)];
}

/** A few names, and how many more. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `'${name}'`);
  const more = names.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}
