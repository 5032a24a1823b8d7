/** The name of a procedure in messages. */
export function targetOf({ name }: { readonly name: string }): string {
  return `the procedure '${name}'`;
}
