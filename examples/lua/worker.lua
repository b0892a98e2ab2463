-- A worker behind the pipe: glassq work pipe -- lua worker.lua. A line is a lease, the answer is a result.
-- A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds.
local function work(lease)
  local nap = lease:match('"body":{"sleep":([^,}]*)')
  if nap and not tonumber(nap) then
    return '{"o":{"ok":0,"err":"bad_task"}}'
  elseif nap then
    os.execute("sleep " .. tonumber(nap)) -- plain Lua has no sleep of its own
  end
  return lease:find('"body":{"fail":true', 1, true) and '{"o":{"ok":0}}' or '{"o":{"ok":1}}'
end

io.stdout:setvbuf("line")
for lease in io.lines() do
  print(work(lease))
end
