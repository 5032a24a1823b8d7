import { expect, it } from 'vitest';

/** What a table says of every state: the state after each event. An event that a row leaves out changes nothing. */
export type StateTable<State, States extends string, Events extends string> = Readonly<
  Record<States, Partial<Record<Events, State>>>
>;

/** Has a pure `transition` go through every cell of its documented table. */
export function itFollows<
  State extends { readonly status: string },
  Event,
  States extends string,
  Events extends string,
>(
  transition: (state: State, event: Event) => State,
  states: Readonly<Record<States, State>>,
  events: Readonly<Record<Events, Event>>,
  table: StateTable<State, States, Events>,
): void {
  const cells = Object.entries<State>(states).flatMap(([from, state]) =>
    Object.entries<Event>(events).map(([on, event]) => {
      const next = table[from as States][on as Events];
      return { from, on, state, event, next, to: next?.status ?? 'the same' };
    }),
  );

  it.each(cells)('goes from $from on $on to $to', ({ state, event, next }) => {
    const result = transition(state, event);

    if (next) expect(result).toStrictEqual(next);
    else expect(result).toBe(state);
  });

  it('is never changed in place', () => {
    for (const { state, event } of cells) {
      expect(() => transition(Object.freeze({ ...state }), event)).not.toThrow();
    }
  });
}
