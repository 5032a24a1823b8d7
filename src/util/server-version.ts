/** Whether a server version, such as `4.3.1`, is older than this one. False for a malformed version. */
export function isBefore(version: string, major: number, minor: number): boolean {
  const [, theirMajor, theirMinor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (theirMajor === undefined) return false;
  const [a, b] = [Number(theirMajor), Number(theirMinor)];
  return a < major || (a === major && b < minor);
}
