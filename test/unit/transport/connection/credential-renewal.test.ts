import { beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../../src/errors.js';
import {
  CredentialRenewal,
  checkCredentials,
} from '../../../../src/transport/connection/credential-renewal.js';
import type { Credentials } from '../../../../src/transport/port.js';
import { FakeClock } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';
import { thrownBy } from '../../support/track.js';

let clock: FakeClock;
let link: FakeLink;
let asked: number;

beforeEach(() => {
  clock = new FakeClock();
  link = new FakeLink();
  asked = 0;
});

const lasting = (lifeMs: number, password = 'first'): Credentials => ({
  username: 'ada',
  password,
  expiresAt: new Date(clock.wallNow() + lifeMs),
});

/** Renews what lasts 100 s with what lasts as long, unless another function is given. */
function renew(next: () => Credentials | Promise<Credentials> = () => lasting(100_000, `password ${asked}`)) {
  const credentials = () => {
    asked++;
    return next();
  };
  return new CredentialRenewal(clock, link, credentials, lasting(100_000));
}

describe('the renewal of a password', () => {
  it('hands the next one to the server when 80 % of its life has passed, each time', async () => {
    renew();
    await clock.pass(79_999);
    const before = [...link.secrets];
    await clock.pass(1);
    await clock.pass(80_000);

    expect({ before, secrets: link.secrets }).toEqual({ before: [], secrets: ['password 1', 'password 2'] });
  });

  it('does not keep the process alive', () => {
    renew();

    expect({ armed: clock.armed, unrefs: clock.unrefs }).toEqual({ armed: 1, unrefs: 1 });
  });

  it('asks for nothing that does not expire', async () => {
    new CredentialRenewal(clock, link, () => lasting(1), { username: 'ada', password: 'x' });
    await clock.pass(10 ** 9);

    expect({ armed: clock.armed, secrets: link.secrets }).toEqual({ armed: 0, secrets: [] });
  });

  it('ends with a password that does not expire', async () => {
    renew(() => ({ username: 'ada', password: 'forever' }));
    await clock.pass(10 ** 9);

    expect({ asked, secrets: link.secrets, armed: clock.armed }).toEqual({
      asked: 1,
      secrets: ['forever'],
      armed: 0,
    });
  });

  it('of one that is over already is made soon, and not at once over and over', async () => {
    renew(() => lasting(-5_000));
    await clock.pass(80_000);
    await clock.pass(10_000);

    expect(asked).toBe(11);
  });

  it.each<[string, () => unknown]>([
    [
      'the function throws',
      () => {
        throw new Error('vault is sealed');
      },
    ],
    ['the function rejects', () => Promise.reject(new Error('vault is sealed'))],
    ['the function answers with something else', () => ({ password: 5 })],
  ])('is tried again after 5 s when %s', async (_, next) => {
    renew(next as () => Credentials);
    await clock.pass(80_000);
    await clock.pass(10_000);

    expect({ asked, secrets: link.secrets }).toEqual({ asked: 3, secrets: [] });
  });

  it('is tried again when the function does not answer, or the server refuses', async () => {
    let calls = 0;
    renew(() => (++calls === 1 ? new Promise(() => {}) : lasting(100_000, 'next')));
    link.onRequest = () => {
      if (calls === 2) throw new Error('refused');
    };
    await clock.pass(80_000);
    await clock.pass(10_000);
    await clock.pass(5_000);

    expect({ calls, secrets: link.secrets }).toEqual({ calls: 3, secrets: ['next'] });
  });

  it('with a certificate tells the server nothing', async () => {
    renew(() => ({ mechanism: 'EXTERNAL' }));
    await clock.pass(80_000);

    expect({ asked, requests: link.requests }).toEqual({ asked: 1, requests: [] });
  });

  it('ends when it is stopped, also while the function is asked', async () => {
    let answer = (_: Credentials) => {};
    const renewal = renew(() => new Promise((resolve) => (answer = resolve)));
    await clock.pass(80_000);
    renewal.stop();
    answer(lasting(100_000));
    await clock.pass(200_000);

    expect({ asked, secrets: link.secrets, armed: clock.armed }).toEqual({ asked: 1, secrets: [], armed: 0 });
  });

  it('that is stopped before leaves no timer', () => {
    renew().stop();

    expect(clock.armed).toBe(0);
  });
});

describe('what a credentials function answers', () => {
  it.each([
    { username: 'ada', password: 'x' },
    { username: '', password: '' },
    { username: 'ada', password: 'x', expiresAt: new Date() },
    { mechanism: 'EXTERNAL' },
  ])('can be %o', (answer) => {
    expect(() => checkCredentials(answer)).not.toThrow();
  });

  it.each([
    undefined,
    null,
    'canary',
    { username: 'ada' },
    { username: 'ada', password: 5 },
    { mechanism: 'PLAIN', username: 'ada', password: 'canary' },
    { username: 'ada', password: 'canary', expiresAt: '2030-01-01' },
    { username: 'ada', password: 'canary', expiresAt: new Date(Number.NaN) },
  ])('cannot be %o, and is not shown', (answer) => {
    const error = thrownBy(() => checkCredentials(answer));

    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).not.toContain('canary');
  });
});
