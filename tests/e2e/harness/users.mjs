// Users of a gateway, made as an operator makes them, and their logins.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { build } from './gateway.mjs';
import { waitFor } from './processes.mjs';

export const formType = { 'content-type': 'application/x-www-form-urlencoded' };

// Returns what `signalbox users …` prints.
export async function users(gateway, args, input = '') {
  const child = spawn(path.join(build, 'signalbox'),
    ['users', ...args, '--config', path.join(gateway.folder, 'signalbox.yaml'),
      '--data', path.join(gateway.folder, 'data')], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '', errors = '';
  child.stdout.on('data', (data) => { output += data; });
  child.stderr.on('data', (data) => { errors += data; });
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(errors);
  return output;
}

export const post = (gateway, route, body, headers = formType) =>
  gateway.send('POST', route, { key: null, headers, body });
export const login = (gateway, username, password, more = {}) =>
  post(gateway, '/auth/token', new URLSearchParams({ username, password, ...more }).toString());

// A user that the gateway knows of: the tokens of the first login.
export async function addUser(gateway, name, password, ...args) {
  await users(gateway, ['add', name, ...args], `${password}\n`);
  return waitFor(`${name} can log in`, async () => {
    const answer = await login(gateway, name, password);
    return answer.status === 200 ? answer.json : undefined;
  }, 5000);
}
