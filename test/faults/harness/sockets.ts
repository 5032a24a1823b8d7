import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** How many sockets a process holds to a port of this machine, in any state. Undefined where the system does not tell (Linux does). */
export function countSockets(pid: number, port: number): number | undefined {
  try {
    const inodes = new Set<string>();
    const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[2]?.endsWith(remote)) inodes.add(`socket:[${fields[9]}]`);
    }
    return readdirSync(`/proc/${pid}/fd`).filter((fd) => inodes.has(linkOf(`/proc/${pid}/fd/${fd}`))).length;
  } catch {
    return undefined;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
