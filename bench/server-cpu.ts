import { readFile } from 'node:fs/promises';

/** Linux counts the time of a process in these units, whatever the kernel's own are. */
const TICK_US = 10_000;

/** What a server's process has used so far, in microseconds. Undefined where it cannot be seen: on another machine, or not on Linux. */
export async function serverCpuUs(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined) return undefined;
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // Behind the name of the program, which can have spaces in it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_US;
  } catch {
    return undefined;
  }
}

/** The process of a RabbitMQ on this machine, as its management API tells. */
export async function pidOf(managementUrl: string | undefined): Promise<number | undefined> {
  if (!managementUrl) return undefined;
  const { username, password, origin } = new URL(managementUrl);
  const authorization = `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
  const response = await fetch(`${origin}/api/nodes`, { headers: { authorization } });
  const nodes = (await response.json()) as readonly { readonly os_pid?: string }[];
  return nodes.length === 1 ? Number(nodes[0]?.os_pid) : undefined;
}
