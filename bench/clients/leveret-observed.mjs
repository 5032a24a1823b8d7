/** Leveret with a subscriber on each of its tracing channels. */
import { tracingChannel } from 'node:diagnostics_channel';

export { open } from './leveret.mjs';

let heard = 0;
const listen = () => {
  heard++;
};
for (const name of ['connect', 'send', 'request', 'process', 'settle']) {
  tracingChannel(`leveret:${name}`).subscribe({
    start: listen,
    end: listen,
    asyncStart: listen,
    asyncEnd: listen,
    error: listen,
  });
}
process.on('exit', () => {
  if (heard === 0) throw new Error('the tracing channels told nothing');
});
