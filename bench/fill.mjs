// Fills a queue: `node fill.mjs '{"client":…,"url":…,"queue":…,"type":…,"count":…}'`.
import { pump } from './clients/common.mjs';

const { client, url, queue, type, count, bodyBytes } = JSON.parse(process.argv[2]);
const { open } = await import(`./clients/${client}.mjs`);
const it = await open({ url, queue, type });
await pump(await it.sender(), count, 2_000, 'x'.repeat(Math.max(0, bodyBytes - 80)));
await it.close();
