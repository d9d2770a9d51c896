// A gateway as a person starts it: the real binary, a configuration file, a data folder.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { EventStream, RawConnection, sample, send } from './http.mjs';
import { processesOf, waitFor, within } from './processes.mjs';

export const build = process.env.SIGNALBOX_BUILD ??
  path.resolve(import.meta.dirname, '../../../build');
// Options of the sanitizers, for a gateway that was built with one.
const sanitizers = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^[A-Z]+SAN_OPTIONS$/.test(name)));
export const adminKey = 'sk-test-administrator';

const startBoundMs = 60_000; // initdb on a busy machine
const shownLogLines = 60;
const started = []; // every gateway of this file, for the report when a test fails
const folders = [];

process.on('exit', (code) => {
  for (const gateway of started) {
    if (gateway.exit === undefined) gateway.child.kill('SIGKILL');
    if (code !== 0) {
      const end = gateway.log.trimEnd().split('\n').slice(-shownLogLines).join('\n    ');
      console.error(`gateway in ${gateway.folder}:\n    ${end}`);
    }
  }
  if (code !== 0) return;
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

// A folder of the test's own. Others may enter: as root, PostgreSQL runs as another user.
export function makeFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'signalbox-e2e-'));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

// A model of the simulated runtime that answers at once, but for what `args` say.
export function simModel(name, args = {}, options = {}) {
  const all = Object.entries({ 'prefill-tps': 0, 'decode-tps': 0, ...args });
  return {
    name,
    driver: 'process',
    command: ['signalbox-sim-runtime', '--port', '{port}', '--model', '{model}',
      ...all.flatMap(([option, value]) =>
        (value === true ? [`--${option}`] : [`--${option}`, String(value)]))],
    ...options,
  };
}

// Checks a configuration with the program, as { code, stdout, stderr }.
export function checkConfig(config, folder = makeFolder()) {
  const file = path.join(folder, 'checked.yaml');
  writeFileSync(file, JSON.stringify(config));
  return new Promise((resolve) => {
    execFile(path.join(build, 'signalbox'), ['check-config', '--config', file], {
      env: { ...sanitizers, PATH: process.env.PATH }, timeout: 30_000,
    }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
}

export class Gateway {
  constructor(child, folder) {
    this.child = child;
    this.folder = folder;
    this.output = '';
    this.log = '';
    child.stdout.on('data', (data) => { this.output += data; });
    child.stderr.on('data', (data) => { this.log += data; });
    this.exited = once(child, 'close').then(([code, signal]) => {
      this.exit = code ?? signal;
      return this.exit;
    });
    started.push(this);
  }

  get base() {
    const match = /^signalbox serves on (http:\S+)$/m.exec(this.output);
    return match?.[1];
  }

  get tlsBase() {
    return /^signalbox serves on (https:\S+)$/m.exec(this.output)?.[1];
  }

  get pid() {
    return this.child.pid;
  }

  // Every request carries the administrator's key, unless it brings a credential of its own.
  send(method, route, options = {}) {
    return send(this.base, method, route, this.withKey(options));
  }

  withKey(options) {
    const { key = adminKey, headers = {} } = options;
    const credential = key === null ? {} : { authorization: `Bearer ${key}` };
    return { ...options, headers: { ...credential, ...headers } };
  }

  post(route, body, options = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const headers = { 'content-type': 'application/json', ...options.headers };
    return this.send('POST', route, { ...options, body: text, headers });
  }

  chat(model, fields = {}, options = {}) {
    const messages = [{ role: 'user', content: 'four words of prompt' }];
    return this.post('/v1/chat/completions', { model, messages, ...fields }, options);
  }

  openChat(model, fields = {}, options = {}) {
    const messages = [{ role: 'user', content: 'four words of prompt' }];
    const body = JSON.stringify({ model, messages, stream: true, ...fields });
    const headers = { 'content-type': 'application/json', ...options.headers };
    return EventStream.open(this.base, '/v1/chat/completions',
      this.withKey({ ...options, body, headers }));
  }

  // Changes its file as an operator does, which a reload reads.
  configure(config) {
    writeConfig(this.folder, config);
  }

  connect(options) {
    return RawConnection.open(this.base, options);
  }

  client(options = {}) {
    return new OpenAI({
      apiKey: adminKey, baseURL: `${this.base}/v1`, maxRetries: 0, timeout: 30_000, ...options,
    });
  }

  async queue(model) {
    return (await this.send('GET', `/admin/queue/${model}`)).json;
  }

  async metric(name, labels) {
    return sample((await this.send('GET', '/metrics')).text, name, labels);
  }

  async states() {
    const { json } = await this.send('GET', '/v1/models?detail=true');
    return Object.fromEntries(json.data.map((model) => [model.id, model.state]));
  }

  async crashes() {
    return (await this.send('GET', '/admin/crashes')).json;
  }

  // The simulated runtimes of a model that live now; their own guards hold the same arguments.
  runtimes(model) {
    return processesOf(this.folder)
      .filter(({ args }) => path.basename(args[0] ?? '') === 'signalbox-sim-runtime')
      .filter(({ args }) => args[args.indexOf('--model') + 1] === model);
  }

  // The counters of the runtime of a model.
  async simMetric(model, name) {
    const [{ args }] = this.runtimes(model);
    const port = args[args.indexOf('--port') + 1];
    return sample((await send(`http://127.0.0.1:${port}`, 'GET', '/metrics')).text, name);
  }

  async waitUntilServing() {
    await waitFor('the gateway serves', () => this.base ?? this.exit !== undefined, startBoundMs);
    if (!this.base) throw new Error(`the gateway ended with ${this.exit}\n${this.log}`);
    return this;
  }

  async waitUntilGone(boundMs = 10_000) {
    await waitFor('no process of the gateway is left',
      () => {
        const left = processesOf(this.folder);
        if (left.length > 0) throw new Error(left.map((p) => p.args.join(' ')).join('\n'));
        return true;
      }, boundMs);
  }

  async stop(boundMs = 20_000) {
    // A second signal would end the grace.
    if (this.exit === undefined && !this.child.killed) this.child.kill('SIGTERM');
    try {
      const exit = await within(boundMs, 'the gateway ends after SIGTERM', this.exited);
      assert.equal(exit, 0, 'the gateway ends orderly');
      await this.waitUntilGone();
    } catch (error) {
      this.child.kill('SIGKILL'); // the next test may want its folder
      throw error;
    }
  }
}

// JSON is YAML, too.
function writeConfig(folder, { server, ...rest }) {
  const file = path.join(folder, 'signalbox.yaml');
  writeFileSync(file, JSON.stringify({
    server: { listen: ['127.0.0.1:0'], ...server },
    keys: [{ id: 'administrator', token: adminKey, scopes: ['admin'] }],
    ...rest,
  }));
  return file;
}

// Starts without waiting, for what is not meant to come up. `folder` may be that of an earlier one,
// `openFiles` bounds the descriptors that it may have.
export function launchGateway(
  { config = {}, env = {}, folder = makeFolder(), openFiles } = {}) {
  const file = writeConfig(folder, config);
  const data = path.join(folder, 'data');
  mkdirSync(data, { recursive: true });
  const limited = openFiles ? ['prlimit', `--nofile=${openFiles}:${openFiles}`] : [];
  const [program, ...args] = [...limited, path.join(build, 'signalbox'), 'serve', '--config', file,
    '--data', data];
  const child = spawn(program, args, {
    env: { ...sanitizers, PATH: process.env.PATH, HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Gateway(child, folder);
}

export async function startGateway(options) {
  return launchGateway(options).waitUntilServing();
}
