import { beforeEach, describe, expect, it } from 'vitest';
import { SettlementProof } from '../../../../src/transport/rabbitmq/settlement-proof.js';

let proof: SettlementProof;

beforeEach(() => {
  proof = new SettlementProof();
});

const settle = (count: number) => {
  for (let n = 0; n < count; n++) proof.settled();
};

describe('the proof that a quorum queue has what was settled', () => {
  it('is missing once more was settled than can be under way', () => {
    proof.prefetched(100);
    proof.consumes('jobs');
    settle(28);
    const before = proof.missingFrom;
    settle(1);

    expect({ before, after: proof.missingFrom }).toEqual({ before: undefined, after: 'jobs' });
  });

  it('is given by an answer of the queue, for what was settled before', () => {
    proof.prefetched(100);
    proof.consumes('jobs');
    settle(60);
    proof.answered();
    const after = proof.missingFrom;
    settle(29);

    expect({ atFirst: after, afterwards: proof.missingFrom }).toEqual({
      atFirst: undefined,
      afterwards: 'jobs',
    });
  });

  it('is not needed where so few messages are delivered that all can be under way', () => {
    proof.prefetched(20);
    proof.consumes('jobs');
    settle(1_000);

    expect(proof.missingFrom).toBeUndefined();
  });

  it('counts the messages of all consumers of the channel, and any number without a prefetch', () => {
    proof.prefetched(20);
    proof.consumes('jobs');
    proof.consumes('jobs');
    settle(29);
    expect(proof.missingFrom).toBe('jobs');

    proof = new SettlementProof();
    proof.prefetched(0);
    proof.consumes('jobs');
    settle(29);
    expect(proof.missingFrom).toBe('jobs');
  });

  it('is not needed of other queues', () => {
    proof.prefetched(100);
    settle(1_000);

    expect(proof.missingFrom).toBeUndefined();
  });
});
