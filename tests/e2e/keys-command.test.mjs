// Keys on the command line, beside a gateway and without one.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { adminKey, build, simModel, startGateway } from './harness/gateway.mjs';
import { waitFor } from './harness/processes.mjs';

describe('signalbox keys', () => {
  const run = promisify(execFile);
  const admin = {
    keys: [{ id: 'administrator', token: adminKey, scopes: ['admin'] }],
    models: [simModel('one', {}, { aliases: ['uno'] })],
  };
  const command = async (gateway, ...args) => {
    const { stdout } = await run(path.join(build, 'signalbox'),
      ['keys', ...args, '--config', path.join(gateway.folder, 'signalbox.yaml'),
        '--data', path.join(gateway.folder, 'data')], { timeout: 60_000 });
    return stdout;
  };
  const known = (gateway, key, status) => waitFor(`the gateway answers ${status}`,
    async () => (await gateway.chat('one', {}, { key })).status === status, 5000);

  test('beside a gateway with a database of its own, and without one', async () => {
    const gateway = await startGateway({ config: admin });
    const made = await command(gateway, 'create', '--name', 'laptop', '--scope', 'realtime',
      '--scope', 'monitor', '--requests-per-minute', '600', '--model', 'one');
    const [, id] = /^id: (\S+)$/m.exec(made);
    const [, first] = /^secret \(shown once\): (sbk_\S+)$/m.exec(made);
    await known(gateway, first, 200);
    const shown = (await gateway.send('GET', `/v1/keys/${id}`)).json;
    assert.equal(shown.name, 'laptop');
    assert.deepEqual(shown.scopes, ['monitor', 'realtime']);
    assert.equal(shown.limits.requests_per_minute, 600);

    const rotated = await command(gateway, 'rotate', id, '--grace', '0');
    const [, second] = /^secret \(shown once\): (sbk_\S+)$/m.exec(rotated);
    await known(gateway, first, 401);
    await known(gateway, second, 200);
    await gateway.stop();

    // It starts the database itself, and stops it again.
    const list = JSON.parse(await command(gateway, 'list', '--json'));
    assert.deepEqual(list.map((key) => key.id), [id]);
    assert.match(await command(gateway, 'list'), /sbk_\S+ +valid/);
    await command(gateway, 'revoke', id);
    assert.match(await command(gateway, 'list'), /revoked/);
    await gateway.waitUntilGone();
  });

  test('a file of keys is imported, and again when it has changed', async () => {
    const gateway = await startGateway({ config: admin });
    const file = path.join(gateway.folder, 'auth.keys.json');
    const write = (keys) => writeFileSync(file, JSON.stringify({ keys }));
    write([{ id: 'one', token: 'imported-secret-one', scopes: ['realtime'] },
      { id: 'two', token: 'imported-secret-two', scopes: ['batch'], weight: 2 }]);
    assert.match(await command(gateway, 'import', file), /2 added, 0 updated/);
    await known(gateway, 'imported-secret-one', 200);
    await known(gateway, 'imported-secret-two', 403);
    write([{ id: 'one', token: 'imported-secret-new', scopes: ['realtime'] },
      { id: 'two', token: 'imported-secret-two', scopes: ['realtime'] },
      { id: 'three', token: 'imported-secret-three', scopes: ['realtime'] }]);
    assert.match(await command(gateway, 'import', file), /1 added, 2 updated/);
    for (const key of ['imported-secret-one', 'imported-secret-new', 'imported-secret-two',
      'imported-secret-three']) {
      await known(gateway, key, 200);
    }
    await gateway.send('PATCH', '/v1/keys/two', { body: JSON.stringify({ name: 'job', owner: 'o',
      models: ['one'], weight: 3, expires_at: '2090-01-01T00:00:00Z',
      limits: { requests_per_minute: 60, max_concurrent: 2 } }) });
    const shown = async () => {
      const { created_at: _, ...fields } = (await gateway.send('GET', '/v1/keys/two')).json;
      return fields;
    };
    const patched = await shown();
    write([{ id: 'two', token: 'imported-secret-two', scopes: ['realtime'] }]);
    assert.match(await command(gateway, 'import', file), /0 added, 0 updated/);
    assert.deepEqual(await shown(), patched, 'what it does not name stays');
    write([{ id: 'two', token: 'imported-secret-two', expires_at: null, models: [],
      limits: { max_concurrent: 0 } }]);
    assert.match(await command(gateway, 'import', file), /0 added, 1 updated/);
    assert.deepEqual(await shown(), { ...patched, expires_at: null, models: [],
      limits: { ...patched.limits, max_concurrent: 0 } });

    const wrong = [
      [{ id: 'user:x', token: 'long-enough-a-secret', scopes: ['realtime'] },
        /keys\[0\]\.id: must not begin with user:, which is reserved for users/],
      [{ id: 'x', token: 'short', scopes: ['realtime'] }, /keys\[0\]\.token: found 5 bytes/],
      [{ id: 'x', token: 'long-enough-a-secret', scopes: ['root'] }, /keys\[0\]: scopes must be/],
      [{ id: 'x', token: 'long-enough-a-secret' }, /keys\[0\]\.scopes: must not be empty/],
      [{ id: 'x', token: 'imported-secret-two', scopes: ['realtime'] },
        /no key was added or changed/],
      [{ token: 'long-enough-a-secret' }, /keys\[0\]: "id" must be a text/],
      [{ id: 'administrator', token: 'long-enough-a-secret', scopes: ['realtime'] },
        /keys\[0\]\.id: "administrator" is defined in the configuration/],
    ];
    for (const [entry, message] of wrong) {
      write([entry]);
      await assert.rejects(command(gateway, 'import', file), { stderr: message });
    }
    const before = (await gateway.send('GET', '/v1/keys/three')).json;
    write([{ id: 'three', token: 'imported-secret-three', weight: 7 },
      { id: 'x', token: 'imported-secret-two', scopes: ['realtime'] }]);
    await assert.rejects(command(gateway, 'import', file), { stderr: /no key was added or/ });
    assert.deepEqual((await gateway.send('GET', '/v1/keys/three')).json, before);
    for (const args of [['import', '/nowhere'], ['revoke', 'none'], ['rotate', 'none'],
      ['create', '--scope', 'root'], ['create', '--weight', '0'],
      ['rotate', 'one', '--grace', '-1']]) {
      await assert.rejects(command(gateway, ...args), `${args}`);
    }
    await gateway.stop();
  });

  test('a subcommand that there is not is named', async () => {
    const program = path.join(build, 'signalbox');
    for (const args of [['kyes'], ['keys', 'kyes'], ['users', 'kyes']]) {
      await assert.rejects(run(program, args), { stderr: /not expected: kyes/ });
    }
    for (const args of [[], ['keys'], ['users']]) {
      await assert.rejects(run(program, args), { stderr: /A subcommand is required/ });
    }
  });
});
