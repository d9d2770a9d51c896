// The gateway's own life: killed, asked to stop, started where it cannot run; its health.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { launchGateway, makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { dataOf } from './harness/http.mjs';
import { processesOf, waitFor, within } from './harness/processes.mjs';

const shared = makeFolder(); // for those that begin where another one ended: no new cluster
const models = [simModel('demo', { 'decode-tps': 50, fault: 'leave_child' })];
const openStream = async (gateway, fields, options) => {
  const stream = await gateway.openChat('demo', fields, options);
  await stream.next((block) => block.startsWith('data:'));
  return stream;
};

// The reason why a start failed, as its last line tells.
async function failure(gateway) {
  assert.equal(await within(30_000, 'it ends by itself', gateway.exited), 1);
  await gateway.waitUntilGone();
  return gateway.log.trimEnd().split('\n').at(-1);
}

describe('the life of a gateway', { concurrency: false }, () => {
  test('killed while a model runs: nothing is left, and it starts again', async () => {
    const folder = makeFolder(), config = { models, keys: undefined };
    const first = await startGateway({ folder, config });
    const key = /^admin key \(shown once\): (\S+)$/m.exec(first.output)[1];
    const stream = await openStream(first, { max_tokens: 100_000 }, { key });
    const names = processesOf(folder).map(({ args }) => path.basename(args[0] ?? ''));
    for (const name of ['signalbox', 'signalbox-guard', 'signalbox-sim-runtime', 'postgres']) {
      assert.ok(names.includes(name), `${name} in ${names}`);
    }
    first.child.kill('SIGKILL');
    await within(5_000, 'it is dead', first.exited);
    assert.ok((await stream.rest()).broken);
    await first.waitUntilGone();

    const second = await startGateway({ folder, config });
    assert.doesNotMatch(second.output, /shown once/);
    assert.doesNotMatch(first.log + second.log, new RegExp(key));
    const answer = await second.chat('demo', { max_tokens: 2 }, { key });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await second.chat('demo', {}, { key: `${key}x` })).status, 401);
    await second.stop();
  });

  test('killed together with a runtime\'s guard: the next start finds what is left', async () => {
    const folder = makeFolder();
    const first = await startGateway({ folder, config: { models } });
    await first.chat('demo', { max_tokens: 1 });
    const guards = processesOf(folder)
      .filter(({ args }) => path.basename(args[0] ?? '') === 'signalbox-guard');
    assert.equal(guards.length, 1);
    first.child.kill('SIGKILL');
    process.kill(guards[0].pid, 'SIGKILL');
    await within(5_000, 'it is dead', first.exited);

    const second = await startGateway({ folder, config: { models } });
    assert.equal((await second.chat('demo', { max_tokens: 1 })).status, 200);
    await waitFor('only the new runtime is left, and the child that it leaves behind',
      () => second.runtimes('demo').length === 2);
    await second.stop();
  });

  test('asked to stop while a stream runs: the stream finishes, nothing new begins', async () => {
    const gateway = await startGateway({ folder: shared, config: { models } });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const stream = await openStream(gateway, { max_tokens: 60 });
    assert.equal((await gateway.send('GET', '/health/ready', { agent })).status, 200);
    gateway.child.kill('SIGTERM');
    await waitFor('it drains', async () => {
      const { status, json } = await gateway.send('GET', '/health/ready', { agent });
      return status === 503 && json.status === 'draining';
    });
    const refusal = await gateway.chat('demo', {}, { agent });
    assert.equal(refusal.status, 503);
    assert.equal(refusal.json.error.code, 'shutting_down');
    assert.equal((await gateway.send('GET', '/health/live', { agent })).status, 200);
    assert.equal((await gateway.send('GET', '/health', { agent })).json.status, 'unhealthy');
    await assert.rejects(gateway.send('GET', '/health'), { code: 'ECONNREFUSED' });
    const { blocks, broken } = await stream.rest();
    assert.ok(!broken);
    assert.equal(dataOf(blocks).filter((e) => e.choices[0].delta.content).length, 60);
    assert.equal(blocks.at(-1), 'data: [DONE]');
    await gateway.stop();
    agent.destroy();
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal}, and a stream that is longer than the grace: it ends all the same`,
      async () => {
        const gateway = await startGateway({
          folder: shared, config: { models, server: { shutdown_grace_s: 4 } },
        });
        const stream = await openStream(gateway, { max_tokens: 100_000 });
        const asked = performance.now();
        gateway.child.kill(signal);
        await gateway.stop(6_500); // less than twice the grace
        assert.ok(performance.now() - asked >= 4_000);
        assert.ok(!(await stream.rest()).blocks.includes('data: [DONE]'));
      });
  }

  test('asked a second time while a stream runs: the grace is over', async () => {
    const gateway = await startGateway({
      folder: shared, config: { models, server: { shutdown_grace_s: 100 } },
    });
    const stream = await openStream(gateway, { max_tokens: 100_000 });
    gateway.child.kill('SIGTERM');
    await waitFor('it drains', () => /shutting down/.test(gateway.log));
    gateway.child.kill('SIGTERM');
    await gateway.stop(10_000);
    assert.ok(!(await stream.rest()).blocks.includes('data: [DONE]'));
  });

  test('asked to stop while it makes its database, and while it waits for another', async () => {
    const folder = makeFolder();
    const making = launchGateway({ folder, config: { models } });
    await waitFor('initdb runs', () => existsSync(path.join(folder, 'data/postgres.new')));
    await making.stop(5_000);
    assert.equal(making.base, undefined);

    const waiting = launchGateway({
      folder: shared, config: { models, database: { url: 'postgresql://127.0.0.1:1/none' } },
    });
    await waitFor('it waits', () => /database: not available yet/.test(waiting.log), 20_000);
    await waiting.stop(10_000);
    assert.equal(waiting.base, undefined);
  });

  test('asked to stop while a model loads', async () => {
    const gateway = await startGateway({
      folder: shared,
      config: { models: [simModel('slow', { 'load-time': 600 }, { start_timeout_s: 900 })],
        server: { shutdown_grace_s: 0.5 } },
    });
    const answer = gateway.chat('slow').catch((error) => error);
    await waitFor('it loads', async () => (await gateway.states()).slow === 'starting');
    await gateway.stop();
    const end = await answer;
    assert.ok(end.code === 'ECONNRESET' || end.status === 503, String(end.status ?? end));
  });

  test('a port that is taken, and a data folder that is taken', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = `127.0.0.1:${holder.address().port}`;
    const refused = launchGateway({ config: { models, server: { listen: [address] } } });
    const reason = await failure(refused);
    assert.match(reason, /^signalbox: cannot listen on /);
    assert.ok(reason.includes(address) && reason.includes('in use'), reason);
    holder.close();

    const first = await startGateway({ folder: shared, config: { models } });
    const taken = new URL(first.base).host;
    const second = launchGateway({ config: { models, server: { listen: [taken] } } });
    assert.ok((await failure(second)).includes(`cannot listen on ${taken}`));

    // In the same folder: what is left must be the first one's, so no look at the processes.
    const third = launchGateway({ config: { models }, folder: first.folder });
    assert.equal(await within(30_000, 'it ends by itself', third.exited), 1);
    assert.match(third.log, /in use by another gateway \(pid \d+\)/);
    assert.ok(third.log.includes(`pid ${first.pid}`));
    assert.equal((await first.chat('demo', { max_tokens: 1 })).status, 200);
    await first.stop();
  });

  test('health tells what is wrong', async () => {
    const gateway = await startGateway({
      folder: shared,
      config: {
        models: [simModel('broken', { fault: 'fail_start' })],
        scheduling: { load_attempts: 1, load_backoff_s: 60 },
      },
    });
    const health = await gateway.send('GET', '/health', { key: null });
    assert.equal(health.status, 200);
    assert.equal(health.json.status, 'healthy');
    assert.match(health.json.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.equal((await gateway.send('GET', '/health/live', { key: null })).status, 200);
    assert.equal((await gateway.chat('broken')).status, 503);
    const failed = await gateway.send('GET', '/health', { key: null });
    assert.equal(failed.status, 503);
    assert.equal(failed.json.status, 'unhealthy');
    assert.equal((await gateway.send('GET', '/health/ready', { key: null })).status, 200);
    await gateway.stop();
  });

  test('health forgets a runtime that died while nobody used it', async () => {
    const gateway = await startGateway({
      folder: shared,
      config: { models: [simModel('demo')], scheduling: { load_backoff_s: 2 } },
    });
    const status = async () => (await gateway.send('GET', '/health')).json.status;
    await gateway.chat('demo', { max_tokens: 1 });
    process.kill(gateway.runtimes('demo')[0].pid, 'SIGKILL');
    await waitFor('it has failed', async () => (await status()) === 'unhealthy');
    await waitFor('that is over', async () => (await status()) === 'healthy');
    assert.deepEqual(await gateway.states(), { demo: 'stopped' });
    assert.equal((await gateway.chat('demo', { max_tokens: 1 })).status, 200);
    await gateway.stop();
  });
});
