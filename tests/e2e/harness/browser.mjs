// A real browser.
import { execFile } from 'node:child_process';
import http from 'node:http';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { makeFolder } from './gateway.mjs';

const run = promisify(execFile);

// The markup of a page once its scripts have nothing left to wait for. Its sandbox is off: root has
// none, and the pages are ours.
export async function rendered(url) {
  const { stdout } = await run('chromium-headless-shell', ['--no-sandbox', '--disable-gpu',
    '--disable-dev-shm-usage', `--user-data-dir=${makeFolder()}`, '--virtual-time-budget=20000',
    '--dump-dom', url],
  { timeout: 60_000, maxBuffer: 16 << 20 });
  return stdout;
}

// A site of its own origin that has one page.
export async function startSite(html) {
  const server = http.createServer((request, answer) => {
    answer.setHeader('content-type', 'text/html; charset=utf-8');
    answer.end(html());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
