/** A program that replays dead letters until it is killed. Run by `killed.test.ts`. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';

const jobs = queue('jobs', z.object({ n: z.number() }));
const [what = '', url = ''] = process.argv.slice(2);
const broker = await Broker.connect(url);
const letters = broker.deadLetters(jobs);

if (what === 'replays') {
  await letters.replay({ onProgress: ({ done }) => done === 100 && console.log('in the middle') });
} else {
  await letters.replay({
    filter: async ({ body }) => {
      if (body.n < 250) return false;
      console.log('in the middle');
      return new Promise(() => undefined);
    },
  });
}
