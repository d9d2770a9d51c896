// Certificates as an authority gives them: a root that clients know, one in between, and servers'.
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeFolder } from './gateway.mjs';

const run = promisify(execFile);
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export class Authority {
  static async make() {
    const me = new Authority();
    me.folder = makeFolder();
    await me.openssl('req', '-x509', ...newKey, '-keyout', 'root.key', '-out', 'root.pem',
      '-days', '2', '-subj', '/CN=test root');
    await me.sign('between', 'root', ['-set_serial', '2'], 'basicConstraints=critical,CA:TRUE\n');
    return me;
  }

  get root() {
    return path.join(this.folder, 'root.pem');
  }

  openssl(...args) {
    return run('openssl', args, { cwd: this.folder, timeout: 20_000 });
  }

  async sign(name, signer, options, extensions) {
    writeFileSync(path.join(this.folder, `${name}.ext`), extensions);
    await this.openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`,
      '-subj', `/CN=test ${name}`);
    await this.openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${signer}.pem`,
      '-CAkey', `${signer}.key`, '-out', `${name}.pem`, '-days', '2', ...options,
      '-extfile', `${name}.ext`);
  }

  // The chain and the key of a server at 127.0.0.1, in PEM.
  async issue(serial, options = []) {
    const name = `server-${serial}`;
    await this.sign(name, 'between', ['-set_serial', String(serial), ...options],
      'subjectAltName=IP:127.0.0.1\n');
    const read = (file) => readFileSync(path.join(this.folder, file), 'utf8');
    return { certificate: read(`${name}.pem`) + read('between.pem'), key: read(`${name}.key`) };
  }
}

// The two files of a gateway.
export class CertificateFiles {
  constructor(folder = makeFolder()) {
    this.options = {
      certificate: path.join(folder, 'server.pem'), private_key: path.join(folder, 'server.key'),
    };
  }

  write({ certificate, key }) {
    writeFileSync(this.options.certificate, certificate);
    writeFileSync(this.options.private_key, key);
    chmodSync(this.options.private_key, 0o600);
    return this;
  }
}
