import type { Key, Result } from './results.js';
import { type ClientName, titles } from './workloads.js';

const WIDTH = 820;
const LABEL_WIDTH = 250;
const BAR_HEIGHT = 22;
const GAP = 8;
const TOP = 64;

/** How often the middle bar fits into the longest. */
const MAX_LENGTH = 4;

/** Horizontal bars, one for each client, as an SVG that reads well on light and on dark ground. */
export function plotOf(result: Result, key: Key, caption: string, digits = 1): string {
  const bars = Object.entries(result.clients)
    .flatMap(([name, { middle }]) => {
      const value = middle[key];
      return value === undefined ? [] : [{ name: name as ClientName, value }];
    })
    .sort((a, b) => (key === 'perSecond' ? b.value - a.value : a.value - b.value));
  // A bar that is much longer than the others is cut: beside it they could not be told apart.
  const middle = bars[Math.floor(bars.length / 2)]?.value ?? 0;
  const longest = Math.max(...bars.map(({ value }) => value).filter((value) => value <= MAX_LENGTH * middle));
  const height = TOP + bars.length * (BAR_HEIGHT + GAP) + GAP;
  const scale = (WIDTH - LABEL_WIDTH - 110) / longest;
  const rows = bars.map(({ name, value }, at) => {
    const y = TOP + at * (BAR_HEIGHT + GAP);
    const isCut = value > longest;
    const width = Math.min(value, longest) * scale;
    const base = y + BAR_HEIGHT / 2 + 5;
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${base}" text-anchor="end"${name === 'leveret' ? ' class="own"' : ''}>${titles[name]}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="3"${name === 'leveret' ? ' class="own"' : ''}/>`,
      `<text x="${(LABEL_WIDTH + width + 8).toFixed(1)}" y="${base}">${isCut ? '… ' : ''}${value.toFixed(digits)}</text>`,
    ].join('\n  ');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${result.title}: ${caption}">
  <style>
    text { font: 14px system-ui, sans-serif; fill: #57606a } rect { fill: #8c959f } rect.own { fill: #bf6a02 } text.own, .title { font-weight: 600; fill: #24292f }
    @media (prefers-color-scheme: dark) { text { fill: #9da7b3 } rect { fill: #6e7681 } rect.own { fill: #e09b13 } text.own, .title { fill: #e6edf3 } }
  </style>
  <text x="0" y="20" class="title">${result.title}</text>
  <text x="0" y="44">${caption}</text>
  ${rows.join('\n  ')}
</svg>
`;
}
