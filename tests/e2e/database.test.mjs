// The gateway's own PostgreSQL dies while it serves: nobody who asks a model notices, the database
// is started again, and what was used meanwhile stands in it once. And one that is not the
// gateway's own, at the start: absent, and there but closed.
import assert from 'node:assert/strict';
import { readFileSync, realpathSync, renameSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { launchGateway, simModel, startGateway } from './harness/gateway.mjs';
import { Postgres, query } from './harness/postgres.mjs';
import { waitFor, within } from './harness/processes.mjs';

const models = [simModel('demo')];
const clusterOf = (gateway) => realpathSync(path.join(gateway.folder, 'data/postgres'));
const starts = (gateway) => [...gateway.log.matchAll(/PostgreSQL runs in \S+ \(pid (\d+)\)/g)];

const tells = (gateway, up) => waitFor(`/metrics says ${up}`, async () =>
  await gateway.metric('signalbox_database_up') === up, 20_000);

function kill(gateway) {
  const [pid] = readFileSync(path.join(clusterOf(gateway), 'postmaster.pid'), 'utf8').split('\n');
  process.kill(Number(pid), 'SIGKILL');
}

// Without this file PostgreSQL does not start.
function hideControlFile(gateway) {
  const file = path.join(clusterOf(gateway), 'global/pg_control');
  renameSync(file, `${file}.hidden`);
  return () => renameSync(`${file}.hidden`, file);
}

describe('the private database', () => {
  test('is killed under load, and again: each request counts once', async () => {
    const gateway = await startGateway({ config: { models } });
    await tells(gateway, 1);
    await gateway.chat('demo');
    let running = true, made = 1;
    const load = Array.from({ length: 4 }, async () => {
      for (; running; ++made) {
        const answer = await gateway.chat('demo',
          { sim_prompt_tokens: 3, sim_completion_tokens: 2, stream: made % 2 === 0 });
        assert.equal(answer.status, 200, answer.text);
      }
    });
    const more = async (count) => {
      const until = made + count;
      await waitFor(`${count} more requests`, () => made >= until, 30_000);
    };
    for (let deaths = 1; deaths <= 3; ++deaths) {
      await more(50);
      kill(gateway);
      await waitFor('it was started again', () => starts(gateway).length === deaths + 1, 30_000);
    }
    const show = hideControlFile(gateway);
    kill(gateway);
    await waitFor('restarts were in vain', () => /tried again in 4 s/.test(gateway.log), 60_000);
    await more(50);
    assert.equal(await gateway.metric('signalbox_database_up'), 0);
    show();
    await waitFor('it was started again', () => starts(gateway).length === 5, 60_000);
    await tells(gateway, 1);
    await more(50);
    running = false;
    await Promise.all(load);

    const told = [await gateway.simMetric('demo', 'sim_prompt_tokens_total'),
      await gateway.simMetric('demo', 'sim_completion_tokens_total')];
    const stored = async () => (await query(clusterOf(gateway), `SELECT sum(requests) requests,
      sum(prompt_tokens) prompt, sum(completion_tokens) completion FROM usage_daily`))[0];
    await waitFor('all is stored', async () => (await stored()).requests >= made, 30_000);
    assert.deepEqual(await stored(), { requests: made, prompt: told[0], completion: told[1] });
    assert.equal(await gateway.metric('signalbox_usage_dropped_total'), 0);
    assert.match(gateway.log, /ended unasked with signal 9/);
    await gateway.stop();
  });

  test('the gateway is asked to stop while it is started again', async () => {
    const gateway = await startGateway({ config: { models } });
    const show = hideControlFile(gateway);
    kill(gateway);
    await waitFor('the restart failed', () => /tried again in 2 s/.test(gateway.log), 30_000);
    await gateway.chat('demo');
    gateway.child.kill('SIGTERM');
    await waitFor('it ends', () => /shutting down/.test(gateway.log));
    show();
    await gateway.stop(30_000);
    assert.equal(starts(gateway).length, 2, 'its usage had somewhere to go');
    assert.doesNotMatch(gateway.log, /is lost/);
  });

  test('the gateway is asked to stop while it cannot be started', async () => {
    const gateway = await startGateway({ config: { models } });
    await tells(gateway, 1);
    hideControlFile(gateway);
    kill(gateway);
    await tells(gateway, 0); // although nothing is to be written
    await gateway.chat('demo');
    await gateway.stop(30_000);
    assert.match(gateway.log, /is lost/);
  });
});

test('at the start an absent database is waited for, one that is closed is not', async () => {
  const postgres = await Postgres.start();
  const url = await postgres.url('ours');
  await postgres.down();
  const patient = launchGateway({ config: { models }, env: { DATABASE_URL: url } });
  await waitFor('it waits', () => /database: not available yet/.test(patient.log), 20_000);
  await postgres.up();
  await patient.waitUntilServing();
  await patient.stop();
  const told = patient.log.split('\n').filter((line) => line.includes('not available yet'));
  assert.equal(new Set(told.map((line) => line.split('not available yet')[1])).size, told.length,
    'what was said was not said again');

  const wrong = url.replace('/ours', '/theirs');
  const refused = launchGateway({ config: { models }, env: { DATABASE_URL: wrong } });
  assert.equal(await within(30_000, 'it ends by itself', refused.exited), 1);
  assert.match(refused.log, /^signalbox: .*SQLSTATE 3D000.*"theirs" does not exist$/m);
  assert.doesNotMatch(refused.log, /not available yet/);
  await postgres.down();
});
