// Operators' commands beside a running gateway: models, start, stop, logs.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { build, makeFolder, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor, within } from './harness/processes.mjs';

const program = path.join(build, 'signalbox');

describe('commands for models', () => {
  let gateway;
  const at = () => ['--data', path.join(gateway.folder, 'data')];
  const run = (...args) => new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }));
  });

  before(async () => {
    gateway = await startGateway({
      config: { models: [simModel('org/demo'), simModel('broken', { fault: 'fail_start' })] },
    });
  });
  after(() => gateway.stop());

  test('start, models and stop', async () => {
    assert.deepEqual(await run('start', 'org/demo', ...at()),
      { code: 0, stdout: 'org/demo is ready\n', stderr: '' });
    const [{ args }] = gateway.runtimes('org/demo');
    const port = args[args.indexOf('--port') + 1];
    const { code, stdout } = await run('models', ...at());
    assert.equal(code, 0);
    assert.match(stdout, /^NAME +STATUS +STATE +PORT/);
    assert.match(stdout, new RegExp(`^org/demo +running +ready +${port} +\\d+s +0 +0$`, 'm'));
    const all = JSON.parse((await run('models', '--json', ...at())).stdout);
    assert.equal(all['org/demo'].status, 'running');
    assert.deepEqual(await run('stop', 'org/demo', '--now', ...at()),
      { code: 0, stdout: 'org/demo is stopped\n', stderr: '' });
    assert.match((await run('models', ...at())).stdout,
      /^org\/demo +stopped +stopped +- +- +0 +0$/m);
  });

  test('what fails is said, with status 1', async () => {
    const failed = await run('start', 'broken', ...at());
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^start_failed: exit status 3/);
    const unknown = await run('stop', 'nobody', ...at());
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /'nobody' does not exist/);
    const alone = await run('models', '--data', makeFolder());
    assert.equal(alone.code, 1);
    assert.match(alone.stderr, /no gateway runs on the data folder/);
    for (const args of [['start'], ['stop'], ['logs'], ['logs', 'x', '-n', 'many']]) {
      assert.notEqual((await run(...args)).code, 0, `${args}`);
    }
  });

  test('logs, and logs that are followed', async () => {
    await run('start', 'org/demo', ...at());
    const { code, stdout } = await run('logs', 'org/demo', '-n', '50', ...at());
    assert.equal(code, 0);
    assert.match(stdout, /simulated runtime: model org\/demo/);
    assert.equal((await run('logs', 'nobody', ...at())).code, 1);
    assert.equal((await run('logs', 'nobody', '-f', ...at())).code, 1);

    const child = spawn(program, ['logs', 'org/demo', '-f', '-n', '0', ...at()]);
    let text = '';
    child.stdout.on('data', (data) => { text += data; });
    const exited = new Promise((resolve) => { child.on('exit', resolve); });
    // Until it follows, nothing that is written comes.
    await waitFor('it shows what a new runtime writes', async () => {
      await run('stop', 'org/demo', ...at());
      await run('start', 'org/demo', ...at());
      return /simulated runtime: model org\/demo/.test(text);
    }, 30_000);
    await gateway.stop();
    assert.equal(await within(10_000, 'it ends with the gateway', exited), 0);
  });

  test('help names what they take', async () => {
    for (const [command, words] of [['start', /model/], ['stop', /--now/],
      ['logs', /--follow[^]*--lines/], ['models', /--json/]]) {
      const { code, stdout } = await run(command, '--help');
      assert.equal(code, 0);
      assert.match(stdout, words);
      assert.match(stdout, /--url/);
    }
  });

  test('a refusal without an end is not kept for ever', async () => {
    const server = http.createServer((request, response) => {
      response.writeHead(500);
      const more = () => { while (response.write(Buffer.alloc(1 << 20))); };
      response.on('drain', more).on('error', () => {});
      more();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { code, stderr } = await run('logs', 'demo', '--key', 'x',
        '--url', `http://127.0.0.1:${server.address().port}`);
      assert.equal(code, 1);
      assert.match(stderr, /body limit/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
