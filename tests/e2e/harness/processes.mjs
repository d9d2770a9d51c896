// The processes of a test, and waiting for a condition.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const pollMs = 10;

// Calls `condition` until what it returns is truthy, and returns that. What it throws counts as
// "not yet", and is told when time is up.
export async function waitFor(what, condition, boundMs = 10_000) {
  const deadline = performance.now() + boundMs;
  for (let last; ; ) {
    try {
      const value = await condition();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${boundMs} ms: ${what}`, { cause: last });
    }
    await pause(pollMs);
  }
}

// The promise's value, or an error that tells what did not come in time.
export async function within(boundMs, what, promise) {
  const late = new AbortController();
  const timeout = pause(boundMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`not within ${boundMs} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {});
  }
}

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // it ended meanwhile
  }
}

function folderOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

// All living processes that have to do with `folder`: it stands in their arguments or their
// environment (the gateway's HOME, which all that it starts inherits), or they work in it.
export function processesOf(folder) {
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const args = read(`/proc/${pid}/cmdline`).split('\0').filter(Boolean);
    const told = [args.join(' '), read(`/proc/${pid}/environ`), folderOf(pid)];
    if (told.some((text) => text.includes(folder))) found.push({ pid: Number(pid), args });
  }
  return found;
}

export function residentBytes(pid) {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`));
  return Number(line[1]) * 1024;
}
