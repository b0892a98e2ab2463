// Node's memcached as a whole client: what TestMemcachedClients asks of it.
const Memcached = require('memcached');
const { promisify } = require('util');

const connect = (more) => {
  const c = new Memcached(process.env.GLASSQ_MEMCACHED, { maxKeySize: 250, maxValue: 32 << 20, poolSize: 1, idle: 20000, failures: 1e9, retry: 50, retries: 0, ...more });
  const q = { end: () => c.end() };
  for (const verb of ['set', 'add', 'get', 'gets', 'cas', 'del', 'touch']) q[verb] = promisify(c[verb].bind(c));
  // Only an answer of the server is a no; a broken connection is an error.
  for (const verb of ['set', 'add']) {
    const call = q[verb];
    q[verb] = (key, body, seconds = 0) => call(key, body, seconds).catch((e) => {
      if (/not stored/i.test(e.message)) return false;
      throw e;
    });
  }
  const touch = q.touch;
  q.touch = (key, seconds) => touch(key, seconds).catch((e) => {
    if (/not found/i.test(e.message)) return false;
    throw e;
  });
  q.reserve = async (key) => {
    const got = await q.gets(key);
    return got ? [got[key], got.cas] : [undefined, 0];
  };
  q.nack = (key, seconds) => q.set(key, 'again', seconds);
  return q;
};

// A call whose connection breaks, or whose answer cannot be read, is never called back.
const within = (ms, promise) => {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`no answer after ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const same = (...pairs) => {
  for (let i = 0; i < pairs.length; i += 2) {
    const [got, want] = [pairs[i], pairs[i + 1]];
    if (Buffer.isBuffer(want) ? !Buffer.isBuffer(got) || !want.equals(got) : got !== want) {
      throw new Error(`got ${String(got).slice(0, 60)}, want ${String(want).slice(0, 60)}`);
    }
  }
};
const RESULT = '{"o":{"ok":1}}';

// The body comes back from a get and from a reserve.
const both = async (q, n, body) => {
  same(await q.set(n, body), true, await q.set(n, body), true, await q.get(n), body);
  const [got, lease] = await q.reserve(`${n}/open`);
  same(got, body, await q.del(`${n}/${lease}`), true, await q.get(n), undefined);
};

// What another door put is read, and what is put there that door reads.
const across = async (q, n, body) => {
  same(await q.set(`${n}-out`, body), true, await q.get(`${n}-in`), body);
};

const cases = {
  bytes: (q, n) => across(q, n, Buffer.from([...Array(256).keys()])),
  async duplicate(q, n) {
    same(await q.set(`${n}/id=1`, 'one'), true, await q.add(`${n}/id=1`, 'one'), false, await q.add(`${n}/id=2`, 'two'), true);
    same(await q.get(n), 'one', await q.get(n), 'two', await q.get(n), undefined);
  },
  empty: (q, n) => both(q, n, ''),
  async extend(q, n) {
    await q.set(n, 'one');
    const [, lease] = await q.reserve(`${n}/open/lease=5000`);
    same(await q.touch(`${n}/${lease}`, 30), true);
  },
  large: (q, n) => both(q, n, '0123456789abcdef'.repeat(65536)),
  async 'lease-lost'(q, n) {
    await q.set(n, 'one');
    const [, lease] = await q.reserve(`${n}/open`);
    await q.nack(`${n}/${lease}/nack`, 0);
    same(await q.del(`${n}/${lease}`), false, await q.touch(`${n}/${lease}`, 30), false, await q.cas(`${n}-results`, 'x', lease, 0), false);
    same(await q.set(`${n}-results/ack=${lease}`, 'x'), false, await q.nack(`${n}/${lease}/nack`, 0), false);
    same(await q.get(`${n}-results`), undefined, await q.get(n), 'one');
  },
  async nack(q, n) {
    await q.set(n, 'one');
    const [, first] = await q.reserve(`${n}/open`);
    same(await q.nack(`${n}/${first}/nack`, 0), true);
    const [body, lease] = await q.reserve(`${n}/open/t=1000`);
    same(body, 'one', Number(lease) > Number(first), true);
  },
  async put(q, n) {
    same(await q.set(n, 'one'), true, await q.set(n, 'two'), true);
    same(await q.get(n), 'one', await q.get(n), 'two', await q.get(n), undefined);
  },
  async 'reserve-ack'(q, n) {
    await q.set(n, 'one');
    const [body, lease] = await q.reserve(`${n}/open/t=1000/lease=5000`);
    same(body, 'one', Number(lease) > 0, true, await q.get(n), undefined);
    same(await q.del(`${n}/${lease}`), true, await q.del(`${n}/${lease}`), true);
  },
  async 'result-cas'(q, n) {
    await q.set(n, 'one');
    const [, lease] = await q.reserve(`${n}/open`);
    same(await q.cas(`${n}-results`, RESULT, lease, 0), true);
    same(await q.get(`${n}-results`), RESULT, await q.get(n), undefined, await q.del(`${n}/${lease}`), true);
  },
  async 'result-set'(q, n) {
    await q.set(n, 'one');
    const [, lease] = await q.reserve(`${n}/open`);
    same(await q.set(`${n}-results/ack=${lease}`, RESULT), true);
    same(await q.get(`${n}-results`), RESULT, await q.get(n), undefined, await q.del(`${n}/${lease}`), true);
  },
  text: (q, n) => across(q, n, 'k\u00e4se\r\n\u5024 \\'),
  async wait(q, n) {
    same(await q.set(`${n}/delay=2000`, 'late'), true, await q.get(n), undefined, await q.get(`${n}/t=15000`), 'late');
  },
  async 'wait-ends'(q, n) { same(await q.get(`${n}/t=200`), undefined); },
};

// The job of the conformance kit.
const work = async (body) => {
  const began = process.hrtime.bigint();
  let job = {}, o = { ok: 1 }, i = JSON.stringify(body);
  if (/^[{[]/.test(body)) {
    try { job = JSON.parse(body); i = body; } catch { /* text */ }
  }
  if (job.sleep !== undefined && typeof job.sleep !== 'number') o = { ok: 0, err: 'bad_task' };
  else if (job.sleep) await new Promise((r) => setTimeout(r, job.sleep * 1000));
  if (job.fail) o.ok = 0;
  o.rt = Number(process.hrtime.bigint() - began) / 1e9;
  return `{"i":${i},"o":${JSON.stringify(o)}}`;
};

const main = async ([mode, count]) => {
  if (mode === 'verbs') {
    for (const [name, run] of Object.entries(cases)) {
      const q = connect();
      try {
        await within(3000, run(q, `own-${name}`));
        console.log(`ok ${name}`);
      } catch (e) {
        console.log(`fail ${name}: ${e.message}`);
      }
      q.end();
    }
    process.exit(0); // a connection that has stalled holds the process
  }
  const q = connect();
  if (mode === 'put') {
    for (let i = 0; i < Number(count); i++) same(await q.set(`tasks/id=p-${i}`, `task ${i}`), true);
    q.end();
    return;
  }
  for (let worker = q; ; ) {
    try {
      const [body, lease] = await within(12000, worker.reserve('tasks/open/t=10000/lease=10000'));
      if (body !== undefined) await within(5000, worker.cas('results', await work(body), lease, 0));
    } catch { // the server is away
      worker.end();
      await new Promise((r) => setTimeout(r, 50));
      worker = connect();
    }
  }
};
main(process.argv.slice(2)).catch((e) => { console.error(e); process.exit(1); });
