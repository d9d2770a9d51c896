// A PostgreSQL of the test's own, for gateways that are told where their database is.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import path from 'node:path';
import { makeFolder } from './gateway.mjs';
import { waitFor, within } from './processes.mjs';

const run = promisify(execFile);
const programs = '/usr/lib/postgresql';

async function userId(flag) {
  return Number((await run('id', [flag, 'postgres'])).stdout);
}

// Rows as objects, from the server whose socket is in that folder.
export async function query(sockets, sql, database = 'postgres') {
  const wrapped = /^select/i.test(sql)
    ? `SELECT coalesce(json_agg(r), '[]') FROM (${sql}) r` : sql;
  const { stdout } = await run('psql', ['-h', sockets, '-U', 'signalbox', '-d', database,
    '-XqAtc', wrapped], { timeout: 20_000 });
  return stdout.trim() === '' ? [] : JSON.parse(stdout);
}

export class Postgres {
  static async start() {
    const me = new Postgres();
    const [version] = readdirSync(programs).sort((a, b) => Number(b) - Number(a));
    me.programs = path.join(programs, version, 'bin');
    me.sockets = makeFolder();
    me.cluster = path.join(me.sockets, 'cluster');
    me.user = {};
    mkdirSync(me.cluster, { mode: 0o700 });
    if (process.getuid() === 0) { // it refuses to run as root
      me.user = { uid: await userId('-u'), gid: await userId('-g') };
      for (const folder of [me.sockets, me.cluster]) {
        chownSync(folder, me.user.uid, me.user.gid);
      }
    }
    await run(path.join(me.programs, 'initdb'), ['-D', me.cluster, '-U', 'signalbox',
      '--auth=trust', '--no-sync', '--no-locale', '--encoding=UTF8'],
    { ...me.user, cwd: me.sockets, timeout: 60_000 });
    await me.up();
    return me;
  }

  async up() {
    this.server = spawn(path.join(this.programs, 'postgres'), ['-D', this.cluster,
      '-c', 'listen_addresses=', '-c', `unix_socket_directories=${this.sockets}`,
      '-c', 'fsync=off', '-c', 'max_connections=50', '-c', 'shared_buffers=16MB'],
    { ...this.user, cwd: this.sockets, stdio: 'ignore' });
    this.ended = once(this.server, 'exit');
    process.once('exit', () => this.server.kill('SIGQUIT'));
    await waitFor('PostgreSQL answers', () => this.query('SELECT 1'), 30_000);
  }

  // Its clients are cut off, as in a restart of the machine that it runs on.
  async down() {
    this.server.kill('SIGINT');
    await within(30_000, 'PostgreSQL stops', this.ended);
  }

  // A database of its own for each gateway.
  async url(name) {
    await this.query(`CREATE DATABASE ${name}`);
    return this.urlOf(name);
  }

  urlOf(name) {
    return `postgresql:///${name}?host=${this.sockets}&user=signalbox`;
  }

  query(sql, database) {
    return query(this.sockets, sql, database);
  }
}
