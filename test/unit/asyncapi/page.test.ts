import { toJsonSchema } from '@valibot/to-json-schema';
import { queue } from 'leveret';
import { type AsyncApiDocument, asyncapi, asyncapiHtml } from 'leveret/asyncapi';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { everything } from './contracts.js';

const OPTIONS = { title: 'Shop', version: '1.4.0', description: 'Orders & mail.', toJsonSchema };

/** The text of the page as a reader sees it. */
function textOf(page: string): string {
  return page
    .replace(/<style>[\s\S]*?<\/style>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)))
    .replace(/\s+/g, ' ');
}

/** Every name, text, number and truth value of a document, but for references. */
function valuesOf(value: unknown, key = ''): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((it) => valuesOf(it, key));
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, it]) =>
      name === '$ref' ? [] : [name, ...valuesOf(it, name)],
    );
  }
  return value === null ? [] : [String(value)];
}

/** The data with an attack in each of its texts, and as a key and a value of each of its objects. */
function poison(value: unknown, attack: string): unknown {
  if (typeof value === 'string') return value.startsWith('#/') ? value : value + attack;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((it) => poison(it, attack));
  const entries = Object.entries(value).map(([key, it]) => [key, poison(it, attack)] as const);
  return Object.fromEntries([...entries, [attack, attack], [`x-${attack}`, { [attack]: [attack, {}] }]]);
}

/** Keys that the page says in its own words. */
const REWORDED = new Set(['info', 'title', 'description', 'summary', 'properties', 'items']);

describe('asyncapiHtml()', () => {
  const document: AsyncApiDocument = asyncapi(everything, {
    ...OPTIONS,
    servers: { production: 'amqps://rabbit.example/shop' },
  });

  it('shows every name and value of the document as text', () => {
    const text = textOf(asyncapiHtml(document)).toLowerCase();
    const values = valuesOf(document).filter((value) => !REWORDED.has(value));
    const missing = values.filter((value) => !text.includes(value.replace(/\s+/g, ' ').toLowerCase()));
    expect(values.length).toBeGreaterThan(300);
    expect([...new Set(missing)]).toEqual([]);
  });

  it('shows type, requirement and constraints of each field', () => {
    const schema = z.object({
      size: z.int().min(1).max(9).describe('How big.'),
      tag: z.enum(['a', 'b']).optional(),
    });
    const text = textOf(asyncapiHtml(asyncapi([queue('q', schema)], OPTIONS)));
    expect(text).toContain('size integer required minimum: 1 maximum: 9 How big.');
    expect(text).toContain('tag string enum: ["a","b"]');
  });

  it('asks for nothing: no script, no address, no file', () => {
    const page = asyncapiHtml(document);
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/<(?:script|img|iframe|object|embed|video|audio|base|form)\b/i);
    expect(page).not.toMatch(/@import|url\(|@font-face/i);
    const targets = [...page.matchAll(/(?:href|src)\s*=\s*"([^"]*)"/g)].map(([, target = '']) => target);
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !/^(?:#|data:,$)/.test(target))).toEqual([]);
  });

  it('has colours for a light and for a dark appearance', () => {
    expect(asyncapiHtml(document)).toMatch(/prefers-color-scheme: dark/);
  });

  it('escapes every text, wherever it stands', () => {
    const attack = `"'\`><img src=x onerror=alert(1)></style></title><script>alert(1)</script>&amp;`;
    const poisoned = poison({ ...document }, attack);
    const page = asyncapiHtml({ ...(poisoned as object), asyncapi: '3.0.0' });
    expect(page).not.toMatch(/<(?:img|script)/i);
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(page.match(/<\/title>/g)).toHaveLength(1);
    expect(textOf(page)).toContain(attack.replace(/\s+/g, ' '));
  });

  it('takes any AsyncAPI 3 document', () => {
    const foreign = {
      asyncapi: '3.1.0',
      id: 'urn:example',
      info: { title: 'Lights', version: '2', license: { name: 'MIT', url: 'https://example.com/mit' } },
      channels: {
        lit: { $ref: '#/components/channels/lit' },
        gone: { $ref: 'other.yaml#/channels/gone' },
      },
      operations: {
        turn: {
          action: 'send',
          channel: { $ref: '#/channels/lit' },
          traits: [{ $ref: '#/components/operationTraits/kafka' }],
          security: [{ type: 'plain' }],
        },
      },
      components: {
        channels: {
          lit: {
            address: 'a/{street}/b',
            messages: { measured: { $ref: '#/components/messages/measured' } },
          },
        },
        messages: {
          measured: {
            headers: { type: 'object', properties: { 'my-app-header': { type: 'integer', minimum: 0 } } },
            payload: { $ref: '#/components/schemas/node' },
            examples: [{ payload: { lumens: 5 } }],
          },
          avro: {
            payload: {
              schemaFormat: 'application/vnd.apache.avro;version=1.9.0',
              schema: { type: 'record', name: 'LightAvro' },
            },
          },
        },
        schemas: {
          node: {
            type: ['object', 'null'],
            properties: { next: { $ref: '#/components/schemas/node' }, free: true, never: false },
            additionalProperties: { oneOf: [{ const: 1 }, { not: { type: 'string' } }] },
            required: ['next', 'absent'],
          },
          loop: { $ref: '#/components/schemas/loop' },
        },
        operationTraits: { kafka: { bindings: { kafka: { clientId: 'lamp-client' } } } },
      },
    };
    const text = textOf(asyncapiHtml(foreign));
    for (const expected of [
      ...[
        'urn:example',
        'https://example.com/mit',
        'other.yaml#/channels/gone',
        'a/{street}/b',
        'lamp-client',
      ],
      ...[
        'my-app-header integer minimum: 0',
        'lumens 5',
        'LightAvro',
        'object or null node required: absent',
      ],
      ...['next object or null node required as above', 'free any', 'never none', 'one of, 1 value const: 1'],
    ]) {
      expect(text).toContain(expected);
    }
  });

  it('ends with a document that contains itself', () => {
    const schema: Record<string, unknown> = { type: 'object' };
    schema.properties = { within: schema };
    schema['x-self'] = schema;
    const channels = { a: { address: 'a', messages: { m: { payload: schema } }, 'x-leveret': schema } };
    expect(textOf(asyncapiHtml({ asyncapi: '3.0.0', info: {}, channels }))).toContain('within');
  });

  it.each([
    [{}, 'expected an AsyncAPI 3 document, got undefined'],
    [{ asyncapi: '2.6.0' }, "expected an AsyncAPI 3 document, got '2.6.0'"],
    [null, 'expected an AsyncAPI 3 document, got null'],
    [[], 'expected an AsyncAPI 3 document, got an array'],
  ])('refuses %j', (given, message) => {
    expect(() => asyncapiHtml(given as object)).toThrow(message);
  });
});
