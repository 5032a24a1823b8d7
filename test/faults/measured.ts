/** Notes with a test what it has measured, for the table of results. */
export function measured(task: { readonly meta: object }, text: string): void {
  Object.assign(task.meta, { measured: text });
}
