// How WebSockets end, and as what they are counted.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { adminKey, simModel, startGateway } from './harness/gateway.mjs';
import { Messages } from './harness/messages.mjs';
import { Postgres } from './harness/postgres.mjs';
import { waitFor, within } from './harness/processes.mjs';
import { SwitchingRuntime, switchTo } from './harness/switching.mjs';

describe('the end of a WebSocket', () => {
  let postgres, gateway, switching;

  const config = (upstreamPaths) => ({
    log: { requests: 'requests.log' },
    models: [simModel('sim', {}, { upstream_paths: ['/ws'] }), simModel('other'),
      simModel('killed'), simModel('impatient', {}, { stream_idle_timeout_s: 1 }),
      simModel('unlisting', {}, { upstream_paths: upstreamPaths }), switching.model('own')],
  });

  before(async () => {
    postgres = await Postgres.start();
    switching = await SwitchingRuntime.start();
    gateway = await startGateway({
      env: { DATABASE_URL: await postgres.url('ends') },
      config: config(['/ws']),
    });
    assert.equal((await gateway.chat('sim')).status, 200); // it is loaded
  });
  after(async () => {
    await gateway.stop();
    await postgres.down();
    switching.stop();
  });

  let opened = 0;
  // Its line in the log of requests is found by its `id`.
  const open = async (key = adminKey, model = 'sim') => {
    const id = `socket-${++opened}`;
    const socket = await Messages.open(gateway, `/upstream/${model}/ws`, key,
      { 'x-request-id': id });
    assert.equal(await socket.ask('hello'), 'hello');
    return Object.assign(socket, { id });
  };
  const lines = () => readFileSync(path.join(gateway.folder, 'data', 'requests.log'), 'utf8')
    .split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const requireCounted = async (id, outcome, status) => {
    const line = await waitFor('its line', () => lines().find((one) => one.request_id === id));
    assert.deepEqual([line.outcome, line.status], [outcome, status]);
  };
  const requireEnd = async ({ id, closed }, outcome, status) => {
    await within(20_000, 'it is closed', closed);
    await requireCounted(id, outcome, status);
  };
  const make = async (fields = {}) => {
    const made = await gateway.post('/v1/keys', fields);
    assert.equal(made.status, 201, made.text);
    return made.json;
  };
  const change = async (id, fields) => {
    const { status, text } = await gateway.send('PATCH', `/v1/keys/${id}`,
      { body: JSON.stringify(fields) });
    assert.equal(status, 200, text);
  };

  test('is complete when the client closes it', async () => {
    const socket = await open();
    await socket.close();
    await requireEnd(socket, 'completed', 101);
  });

  test('is a failure when its runtime is killed', async () => {
    const socket = await open(adminKey, 'killed');
    process.kill(gateway.runtimes('killed')[0].pid, 'SIGKILL');
    await requireEnd(socket, 'failed', 502);
  });

  test('is a timeout when nothing moves', async () => {
    await requireEnd(await open(adminKey, 'impatient'), 'timed_out', 504);
  });

  const openOwn = async (id, protocol) => (await switchTo(gateway.base, '/upstream/own/x',
    { protocol, headers: { authorization: `Bearer ${adminKey}`, 'x-request-id': id } })).peer;

  test('of another protocol is complete when both sides end', async () => {
    const client = await openOwn('both-end');
    switching.last.socket.end();
    await client.untilEnd();
    client.socket.end();
    await requireCounted('both-end', 'completed', 101);
  });

  test('is that of whoever breaks it', async () => {
    const left = await openOwn('runtime-breaks');
    switching.last.socket.resetAndDestroy();
    await requireCounted('runtime-breaks', 'failed', 502);
    left.socket.destroy();
    (await openOwn('client-breaks')).socket.resetAndDestroy();
    await requireCounted('client-breaks', 'cancelled', 499);
  });

  test('comes soon when one side has closed it and the other does nothing', async () => {
    const client = await openOwn('stays', 'websocket'), server = switching.last;
    server.write('\x88\x00');
    await client.until('\x88\x00');
    await Promise.all([client.untilEnd(20_000), server.untilEnd(20_000)]);
    await requireCounted('stays', 'completed', 101);
  });

  test('comes when a limit is reached', async () => {
    const { key } = await make({ limits: { tokens_per_day: 1000 } });
    const socket = await open(key);
    socket.socket.send('x'.repeat(8000));
    await requireEnd(socket, 'cancelled', 429);
  });

  test('comes when its key is revoked', async () => {
    const { id, key } = await make();
    const socket = await open(key);
    assert.equal((await gateway.send('DELETE', `/v1/keys/${id}`)).status, 200);
    await requireEnd(socket, 'cancelled', 401);
  });

  test('comes when its key expires', async () => {
    const { key } = await make({ expires_in_s: 5 });
    await requireEnd(await open(key), 'cancelled', 401);
  });

  test('comes when its key loses the model, or the scope', async () => {
    const bound = await make(), lesser = await make({ scopes: ['admin'] });
    const sockets = [await open(bound.key), await open(lesser.key, 'other')];
    await change(bound.id, { models: ['other'] });
    await change(lesser.id, { scopes: ['realtime'] });
    for (const socket of sockets) await requireEnd(socket, 'cancelled', 401);
  });

  test('comes when its model lists the path no longer', async () => {
    const { key } = await make(), listed = await open(key, 'unlisting');
    const admins = await open(adminKey, 'unlisting');
    gateway.configure(config(['/other/*']));
    assert.equal((await gateway.send('POST', '/admin/reload')).status, 200);
    await requireEnd(listed, 'cancelled', 401);
    assert.equal(await admins.ask('still here'), 'still here');
    await admins.close();
  });

  test('does not come when its key is changed otherwise', async () => {
    const kept = await make(), revoked = await make();
    const socket = await open(kept.key);
    await change(kept.id, { name: 'another', scopes: ['realtime', 'monitor'] });
    assert.equal((await gateway.post(`/v1/keys/${kept.id}/rotate`, { grace_s: 3600 })).status, 200);
    const other = await open(revoked.key);
    assert.equal((await gateway.send('DELETE', `/v1/keys/${revoked.id}`)).status, 200);
    await within(20_000, 'the other is closed', other.closed);
    assert.equal(await socket.ask('still here'), 'still here');
    await socket.close();
  });
});
