/** Parses a value in the words of the server: `none`, `'true'`, or `the value '5' of type 'signedint'`. */
export function serverValue(
  text: string,
): { readonly is: string | number | boolean | undefined } | undefined {
  if (text === 'none') return { is: undefined };
  const [, value, type] = /^(?:the value )?'(.*?)'(?: of type '(\w+)')?$/s.exec(text) ?? [];
  if (value === undefined) return undefined;
  if (type === 'table' || type === 'array' || type === 'void' || type === 'timestamp') return undefined;
  if (value === 'true' || value === 'false') return { is: value === 'true' };
  // The server leaves out the type if both values have the same one.
  const isNumber = type === undefined ? /^-?\d+$/.test(value) : type !== 'longstr';
  return { is: isNumber ? Number(value) : value };
}
