-- Puts N tasks (10 if not said) in one batch, through curl: the ids make it safe to run again.
local server = os.getenv("GLASSQ_SERVER") or "http://127.0.0.1:5080"
local curl = io.popen("curl -sSf -H 'Content-Type: application/x-ndjson' --data-binary @- '" .. server .. "/v1/queues/tasks/tasks?answer=count'", "w")
for i = 1, tonumber(arg[1] or 10) do
  curl:write(('{"id":"lua-%d","body":"http://localhost:8888/?q=%d"}\n'):format(i, i))
end
os.exit(curl:close())
