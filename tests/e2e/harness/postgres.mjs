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

// A connection that stays open, for what it holds meanwhile.
class Session {
  constructor(sockets, database) {
    this.child = spawn('psql', ['-h', sockets, '-U', 'signalbox', '-d', database, '-XqAt'],
      { stdio: ['pipe', 'pipe', 'ignore'] });
    this.ended = once(this.child, 'exit');
    this.output = '';
    this.ran = 0;
    this.child.stdout.on('data', (data) => { this.output += data; });
    process.once('exit', () => this.child.kill());
  }

  async run(sql) {
    const mark = `ran-${++this.ran}\n`;
    this.child.stdin.write(`${sql};\n\\echo ${mark}`);
    await waitFor(sql, () => this.output.endsWith(mark), 20_000);
  }

  async close() {
    this.child.stdin.end();
    await within(20_000, 'psql ends', this.ended);
  }
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

  session(database) {
    return new Session(this.sockets, database);
  }

  // From now on the gateway's connection that waits for a lock is answered nothing, not even that
  // it took too long; returns what undoes this.
  async suspendWaiting(database) {
    const [{ pid }] = await waitFor('the gateway waits for a lock', async () => {
      const waiting = await this.query(`SELECT pid FROM pg_stat_activity
        WHERE application_name = 'signalbox' AND wait_event_type = 'Lock'
        AND datname = current_database()`, database);
      return waiting.length > 0 && waiting;
    });
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
  }

  query(sql, database) {
    return query(this.sockets, sql, database);
  }
}
