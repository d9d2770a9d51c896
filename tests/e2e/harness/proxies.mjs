// HAProxy and nginx as other people run them, in front of a gateway.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { makeFolder } from './gateway.mjs';
import { RawConnection } from './http.mjs';
import { waitFor, within } from './processes.mjs';

// Both can only be told a port.
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

class Proxy {
  constructor(folder, program, args) {
    this.folder = folder;
    this.log = '';
    this.child = spawn(program, args, {
      cwd: folder, stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: folder },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (data) => { this.log += data; });
    }
    this.child.on('error', (error) => { this.log += error; });
    this.ended = new Promise((resolve) => { this.child.on('close', resolve); });
    this.kill = () => this.child.kill('SIGKILL');
    process.once('exit', this.kill);
  }

  // Until it accepts connections there.
  async waitFor(port) {
    const { child } = this;
    await waitFor(`${child.spawnfile} listens`, async () => {
      if (child.exitCode !== null || child.pid === undefined) throw new Error(this.log);
      (await RawConnection.open(`http://127.0.0.1:${port}`)).close();
      return true;
    });
  }

  async stop() {
    this.child.kill('SIGTERM');
    await within(10_000, `${this.child.spawnfile} ends: ${this.log}`, this.ended);
    process.removeListener('exit', this.kill);
  }
}

export class Haproxy extends Proxy {
  // `options`: lines of the backend besides its one server, which is checked every 100 ms.
  static async start(gateway, options = []) {
    const folder = makeFolder(), port = await freePort();
    const { host } = new URL(gateway.base);
    writeFileSync(path.join(folder, 'haproxy.cfg'), `
global
  # Each thread would keep connections of its own, and take another's only if it is idle by then.
  nbthread 1
  stats socket ${folder}/stats.sock
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:${port}
  default_backend gateway
backend gateway
${options.map((line) => `  ${line}\n`).join('')}  server one ${host} check inter 100ms
`);
    const me = new Haproxy(folder, 'haproxy', ['-db', '-f', 'haproxy.cfg']);
    me.base = `http://127.0.0.1:${port}`;
    await me.waitFor(port);
    return me;
  }

  // What its statistics say of the server, by their names.
  async server() {
    const socket = net.connect(path.join(this.folder, 'stats.sock'));
    socket.end('show stat\n');
    let text = '';
    for await (const part of socket) text += part;
    const [names, ...rows] = text.trimEnd().split('\n').map((line) => line.split(','));
    const row = rows.find((values) => values[0] === 'gateway' && values[1] === 'one');
    return Object.fromEntries(names.map((name, i) => [name.replace(/^# /, ''), row[i]]));
  }
}

export class Nginx extends Proxy {
  // `lines`: of its one location, where GATEWAY is the gateway's address, and http://kept the same
  // with connections that stay.
  static async start(gateway, lines) {
    const folder = makeFolder(), port = await freePort();
    const { host } = new URL(gateway.base);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    mkdirSync(path.join(folder, 'temporary'));
    writeFileSync(path.join(folder, 'nginx.conf'), `
daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
  access_log off;
  client_max_body_size 0;
${temporary.map((name) => `  ${name}_temp_path temporary/${name};\n`).join('')}
  upstream kept { server ${host}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    location / {
${lines.map((line) => `      ${line.replace('GATEWAY', `http://${host}`)};\n`).join('')}    }
  }
}
`);
    const me = new Nginx(folder, 'nginx', ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr']);
    me.base = `http://127.0.0.1:${port}`;
    await me.waitFor(port);
    return me;
  }
}
