import { inject } from 'vitest';

/** Whether a server, the shared one unless another is given, is of this version or a later one: `4.3`. */
export function isVersion(wanted: string, version: string = inject('server').version): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
