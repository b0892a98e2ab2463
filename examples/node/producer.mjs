// Puts N tasks (10 if not said) in one batch: the ids make it safe to run again.
const server = process.env.GLASSQ_SERVER ?? 'http://127.0.0.1:5080'
const count = Number(process.argv[2] ?? 10)
const tasks = Array.from({ length: count }, (_, i) => ({ id: `node-${i}`, body: `http://localhost:8888/?q=${i}` }))
const answer = await fetch(server + '/v1/queues/tasks/tasks?answer=count', {
  method: 'POST',
  body: tasks.map(t => JSON.stringify(t)).join('\n'),
  headers: { 'Content-Type': 'application/x-ndjson' },
})
console.log(await answer.text())
if (!answer.ok) process.exit(1)
