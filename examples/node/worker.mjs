// A worker for Node 18 or newer, over HTTP, without a package.
// A task {"sleep": 2} takes two seconds, {"fail": true} fails, any other succeeds.
const server = process.env.GLASSQ_SERVER ?? 'http://127.0.0.1:5080'
const sleep = seconds => new Promise(done => setTimeout(done, seconds * 1000))

async function post(path, lines = []) {
  const body = lines.map(x => JSON.stringify(x)).join('\n')
  const answer = await fetch(server + path, { method: 'POST', body, headers: { 'Content-Type': 'application/x-ndjson' } })
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  return (await answer.text()).split('\n').filter(Boolean).map(line => JSON.parse(line))
}

async function work({ token, body, b64, headers }) {
  const began = performance.now(), job = body !== null && typeof body === 'object' ? body : {}
  const good = job.sleep === undefined || typeof job.sleep === 'number'
  if (good) await sleep(job.sleep ?? 0)
  const o = { ok: good && !job.fail ? 1 : 0, rt: (performance.now() - began) / 1000 }
  // JSON bodies are not echoed: JavaScript rounds integers beyond 2^53.
  return { token, headers, result: { b64, i: typeof body === 'string' ? body : undefined, o } }
}

for (;;) {
  try {
    const leases = await post('/v1/queues/tasks/reserve?max=500&wait=10s&lease=10s')
    if (leases.length) await post('/v1/ack', await Promise.all(leases.map(work)))
  } catch {
    await sleep(0.5) // the server is away
  }
}
