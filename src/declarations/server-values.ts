/** A value in the words of the server: `none`, `'true'`, or `the value '5' of type 'signedint'`. */
export function serverValue(
  text: string,
): { readonly is: string | number | boolean | undefined } | undefined {
  if (text === 'none') return { is: undefined };
  const [, value, type] = /^(?:the value )?'(.*?)'(?: of type '(\w+)')?$/s.exec(text) ?? [];
  if (value === undefined) return undefined;
  if (type === 'table' || type === 'array' || type === 'void' || type === 'timestamp') return undefined;
  if (value === 'true' || value === 'false') return { is: value === 'true' };
  // Without a type, it is the same as that of the other value.
  const isNumber = type === undefined ? /^-?\d+$/.test(value) : type !== 'longstr';
  return { is: isNumber ? Number(value) : value };
}
