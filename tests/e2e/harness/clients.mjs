// Clients that others wrote, as their documents show them: tests/e2e/clients/. They get another
// address and a credential, and run in an environment of their own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from './gateway.mjs';
import { within } from './processes.mjs';

const folder = path.resolve(import.meta.dirname, '../clients');
const boundMs = 30_000;
const running = new Set();
process.on('exit', () => running.forEach((run) => run.kill()));

export const textOf = (file) => readFileSync(path.join(folder, file), 'utf8');

// Every occurrence of each key becomes its value; one that does not occur is a mistake.
export function replaced(text, replacements) {
  return Object.entries(replacements).reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`there is no ${from} in: ${all}`);
    return all.replaceAll(from, to);
  }, text);
}

// The commands of a file, by the comment above each.
export function commandsOf(file) {
  const blocks = textOf(file).split('\n\n').map((block) => /^#+ (.*)\n([^#][^]*)$/.exec(block));
  return Object.fromEntries(blocks.filter(Boolean).map(([, title, command]) => [title, command]));
}

// The answer that curl got, written beside what it prints, by a configuration file: its command
// lines stay as they are.
const told = 'write-out = "%{stderr}\\nanswer {\\"status\\": %{http_code}, ' +
  '\\"headers\\": %{header_json}}\\nend of answer\\n"\n';

export class ClientRun {
  // In a home of its own, with these files, which is also where it works.
  constructor(command, args, { env = {}, input = '', files = {} } = {}) {
    const home = makeFolder();
    for (const [name, data] of Object.entries({ '.curlrc': told, ...files })) {
      writeFileSync(path.join(home, name), data);
    }
    this.output = '';
    this.errors = '';
    // Debian's Python, which has the modules that Debian installed, before any other.
    const search = `/usr/bin:${process.env.PATH}`;
    this.child = spawn(command, args, {
      cwd: home, env: { PATH: search, HOME: home, TERM: 'vt100', ...env }, detached: true,
    });
    this.child.stdout.on('data', (data) => { this.output += data; });
    this.child.stderr.on('data', (data) => { this.errors += data; });
    this.child.stdin.on('error', () => {}); // it may end without having read
    this.child.stdin.end(input);
    running.add(this);
    this.closed = once(this.child, 'close').then(([code]) => {
      running.delete(this);
      return code;
    });
  }

  // Its end: exit status, and the answers that curl got.
  async ended() {
    try {
      const code = await within(boundMs, 'the client ends', this.closed);
      return { code, output: this.output, errors: this.errors, answers: this.answers() };
    } catch (error) {
      this.kill();
      throw error;
    }
  }

  answers() {
    return [...this.errors.matchAll(/^answer ([^]*?)\nend of answer$/gm)]
      .map(([, text]) => JSON.parse(text));
  }

  // With all that it started.
  kill() {
    if (!running.delete(this)) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // it has just ended
    }
  }
}

export const runShell = (text, options) => new ClientRun('bash', ['-c', text], options).ended();
export const runPython = (text, options) =>
  new ClientRun('python3', ['-'], { input: text, ...options }).ended();

// One answer of that status, whose body is all that the client printed.
export async function answerOf(status, command, env) {
  const run = await runShell(command, { env });
  assert.equal(run.code, 0, run.errors);
  assert.equal(run.answers.length, 1, run.errors);
  const [{ status: got, headers }] = run.answers;
  assert.equal(got, status, run.output);
  assert.deepEqual(headers['content-type'], ['application/json']);
  if (status === 401) assert.deepEqual(headers['www-authenticate'], ['Bearer']);
  return JSON.parse(run.output);
}
