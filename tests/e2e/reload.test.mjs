// The configuration is read again while the gateway serves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Authority, CertificateFiles } from './harness/certificates.mjs';
import { adminKey, build, makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

function command(gateway, ...args) {
  return commandWith({}, gateway, ...args);
}

function commandWith(environment, gateway, ...args) {
  const data = path.join(gateway.folder, 'data');
  return new Promise((resolve) => {
    execFile(path.join(build, 'signalbox'), ['reload', '--data', data, ...args],
      { env: { PATH: process.env.PATH, ...environment }, timeout: 30_000 },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
}

// Whoever has the port that a file of a dead gateway names.
async function stranger(status) {
  const keys = [];
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization);
    response.writeHead(status).end('{"detail": "Not today."}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, keys, url: `http://127.0.0.1:${server.address().port}` };
}

const slow = (name, options = {}) => simModel(name, { 'decode-tps': 20 }, options);

test('a reload counts the descriptors for its models', async () => {
  const config = (...models) => ({ server: { shards: 1 }, models });
  const few = simModel('few', {}, { max_concurrent: 10 });
  const many = simModel('many', {}, { max_concurrent: 100 });
  const gateway = await startGateway({ openFiles: 1024, config: config(few) });
  const counts = () => [...gateway.log.matchAll(/server\.max_connections: (\d+) instead of 20000/g)]
    .map(([, count]) => Number(count));
  const reload = async (...models) => {
    gateway.configure(config(...models));
    assert.equal((await gateway.send('POST', '/admin/reload')).status, 200);
  };
  const [first, ...none] = counts();
  assert.ok(first > 0 && none.length === 0, gateway.log);
  await reload(few, many);
  await reload(few, many); // the same number is not told again
  assert.deepEqual(counts(), [first, first - 108]); // 100 requests, and 8 for a model
  await reload(few);
  assert.deepEqual(counts(), [first, first - 108, first]);
  await gateway.stop();
});

describe('reload', () => {
  let gateway;
  const start = [
    slow('kept'), slow('changed'), slow('gone', { aliases: ['old'] }), simModel('idle'),
  ];

  // Writes the file with these models, as its operator does.
  function write(models, rest = {}) {
    gateway.configure({ models, ...rest });
  }
  const reload = (query = '') => gateway.send('POST', `/admin/reload${query}`);
  const nothing = { added: [], removed: [], changed: [], restarting: [], needs_restart: [] };

  before(async () => { gateway = await startGateway({ config: { models: start } }); });
  after(() => gateway.stop());

  async function back(models = start) {
    write(models);
    assert.equal((await reload('?now=true')).status, 200);
  }

  async function openStream(model, tokens = 30) {
    const stream = await gateway.openChat(model, { max_tokens: tokens });
    await stream.next();
    return stream;
  }
  async function isWhole(stream) {
    const { blocks, broken } = await stream.rest();
    assert.equal(broken, false);
    assert.match(blocks.at(-1), /\[DONE\]/);
  }

  test('a file without changes changes nothing', async () => {
    const answer = await reload();
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json, nothing);
  });

  test('models come, go and change under requests in flight', async () => {
    const streams = await Promise.all(['kept', 'changed', 'old'].map((m) => openStream(m)));
    const [kept] = gateway.runtimes('kept'), [changed] = gateway.runtimes('changed');
    write([
      slow('kept'), simModel('changed', { 'decode-tps': 40 }),
      simModel('idle', {}, { max_waiting: 3 }), simModel('new', {}, { aliases: ['newest'] }),
    ]);
    const answer = await reload();
    assert.deepEqual(answer.json, {
      ...nothing, added: ['new'], removed: ['gone'], changed: ['idle'], restarting: ['changed'],
    });
    assert.equal((await gateway.chat('newest', { max_tokens: 1 })).status, 200);
    assert.equal((await gateway.chat('gone')).status, 404);
    assert.equal((await gateway.chat('old')).status, 404);
    assert.equal((await gateway.queue('idle')).max_waiting, 3);
    const { json } = await gateway.send('GET', '/v1/models');
    assert.deepEqual(json.data.map(({ id }) => id), ['kept', 'changed', 'idle', 'new']);
    assert.equal(gateway.runtimes('gone').length, 1);
    await Promise.all(streams.map(isWhole));
    await waitFor('the removed model is gone', () => gateway.runtimes('gone').length === 0);
    await waitFor('the changed one stopped',
      () => !gateway.runtimes('changed').some(({ pid }) => pid === changed.pid));
    assert.equal((await gateway.chat('changed', { max_tokens: 1 })).status, 200);
    assert.ok(gateway.runtimes('changed')[0].args.includes('40'));
    assert.equal(gateway.runtimes('kept')[0].pid, kept.pid);
    const metrics = (await gateway.send('GET', '/metrics')).text;
    await waitFor('its metrics are gone', async () =>
      !(await gateway.send('GET', '/metrics')).text.includes('model="gone"'));
    assert.ok(metrics.includes('model="new"'));
    await back();
  });

  test('a removed model serves what waits, and comes back as a new one', async () => {
    const others = start.filter(({ name }) => name !== 'gone');
    await back([slow('gone', { max_concurrent: 1 }), ...others]);
    const first = await openStream('gone', 10);
    const second = gateway.chat('gone', { max_tokens: 1 });
    await waitFor('it waits', async () => (await gateway.queue('gone')).waiting === 1);
    write(others);
    await reload();
    await back();
    assert.equal((await gateway.queue('gone')).waiting, 0);
    assert.equal((await gateway.chat('gone', { max_tokens: 1 })).status, 200);
    await isWhole(first);
    assert.equal((await second).status, 200);
  });

  test('now: a changed model restarts while it is in use, and its queue waits for it', async () => {
    await back([slow('changed', { max_concurrent: 1, drain_timeout_s: 0.2 })]);
    const cut = await openStream('changed', 200);
    const waits = gateway.chat('changed', { max_tokens: 1 });
    await waitFor('it waits', async () => (await gateway.queue('changed')).waiting === 1);
    write([simModel('changed', { 'decode-tps': 40 }, { max_concurrent: 1 })]);
    assert.deepEqual((await reload('?now=true')).json.restarting, ['changed']);
    assert.equal((await waits).status, 200);
    const { blocks } = await cut.rest();
    assert.match(blocks.at(-1), /"error"/);
    await back();
  });

  test('a file with mistakes is answered with all of them and changes nothing', async () => {
    write([simModel('idle', {}, { max_waiting: -1 }), { name: 'no-command', driver: 'process' },
      simModel('kept', {}, { aliases: ['idle'] })]);
    const answer = await reload();
    assert.equal(answer.status, 422);
    for (const part of ['models[0].max_waiting', 'models[1]']) {
      assert.ok(answer.json.detail.includes(part), answer.json.detail);
    }
    assert.equal((await gateway.send('GET', '/v1/models')).json.data.length, start.length);
    writeFileSync(path.join(gateway.folder, 'signalbox.yaml'), 'models: [');
    assert.equal((await reload()).status, 422);
    const { code, stderr } = await command(gateway);
    assert.equal(code, 1);
    assert.match(stderr, /signalbox\.yaml:1/);
    assert.equal((await gateway.chat('idle', { max_tokens: 1 })).status, 200);
    await back();
  });

  test('what only a new start can apply is named', async () => {
    write(start, { log: { level: 'debug' }, gpus: [{ memory: '1GiB' }] });
    assert.deepEqual((await reload()).json, { ...nothing, needs_restart: ['gpus[]', 'log.level'] });
    await back();
  });

  test('a model must fit the machine as it runs, not as the file has it', async () => {
    write([...start, simModel('large', {}, { gpu: { memory: '20GiB' } })],
      { gpus: [{ memory: '24GiB' }] });
    const answer = await reload();
    assert.equal(answer.status, 422);
    assert.match(answer.json.detail, /models\[4\]/);
    assert.match(answer.json.detail, /restart of the gateway and count as they were: gpus\[\]/);
    await back();
  });

  test('bad questions', async () => {
    assert.equal((await reload('?now=perhaps')).status, 400);
    assert.equal((await gateway.send('POST', '/admin/reload', { key: null })).status, 401);
  });

  test('SIGHUP does the same', async () => {
    write([...start, simModel('hup')]);
    process.kill(gateway.pid, 'SIGHUP');
    await waitFor('it is served', async () => (await gateway.chat('hup')).status === 200);
    await back();
  });

  test('the command finds its gateway, and says what happened', async () => {
    const file = path.join(gateway.folder, 'data', 'gateway.json');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(JSON.parse(readFileSync(file)).pid, gateway.pid);
    write([...start, simModel('by-command')]);
    const { code, stdout, stderr } = await command(gateway);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^added: by-command$/m);
    assert.doesNotMatch(stdout, /nothing differs/);
    assert.match((await command(gateway)).stdout, /; nothing differs$/m);
    write([simModel('wrong', {}, { max_waiting: -1 })]);
    assert.match((await command(gateway)).stderr, /^nothing was changed: /);
    const other = await command(gateway, '--url', gateway.base, '--key', 'sk-wrong-key-of-nobody');
    assert.equal(other.code, 1);
    assert.match(other.stderr, /not valid/);
    await back();
  });
});

test('the command over TLS trusts the gateway of the folder, and nobody else', async () => {
  const authority = await Authority.make();
  const files = new CertificateFiles().write(await authority.issue(0x2001));
  const gateway = await startGateway({
    config: {
      server: { listen: ['https://127.0.0.1:0', '127.0.0.1:0'], tls: files.options },
      models: [simModel('demo')],
    },
  });
  const first = await command(gateway);
  assert.equal(first.code, 0, first.stderr);
  const stranger = await command(gateway, '--url', gateway.tlsBase, '--key', adminKey);
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, /certificate verify failed/);
  files.write(await authority.issue(0x2002));
  assert.equal((await command(gateway)).code, 0); // it was asked with the old one
  assert.equal((await command(gateway)).code, 0);
  await gateway.stop();
  const nobody = await command(gateway);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /no gateway runs on the data folder/);
});

test('the address in a file that was left behind is sent no key but that of the file', async () => {
  const folder = makeFolder();
  const { server, keys, url } = await stranger(503);
  mkdirSync(path.join(folder, 'data'));
  writeFileSync(path.join(folder, 'data/gateway.json'), JSON.stringify({
    pid: 1, version: '0', started_at: '2026-01-01T00:00:00Z', urls: [url], key: 'of-the-file',
  }));
  const secrets = { SIGNALBOX_KEY: 'of-the-environment' };
  const asked = await commandWith(secrets, { folder }, '--key', 'of-the-command-line');
  assert.deepEqual(keys, ['Bearer of-the-file']);
  // It is not known what was changed by a gateway that answers like this.
  assert.deepEqual([asked.code, asked.stderr], [1, 'Not today.\n']);
  server.close();
});
