# Puts N tasks (10 if not said) in one batch: the ids make it safe to run again.
require "json"
require "net/http"

server = URI(ENV.fetch("GLASSQ_SERVER", "http://127.0.0.1:5080") + "/v1/queues/tasks/tasks?answer=count")
tasks = (1..(ARGV[0] || 10).to_i).map { |i| { id: "ruby-#{i}", body: "http://localhost:8888/?q=#{i}" } }
answer = Net::HTTP.post(server, tasks.map(&:to_json).join("\n"), "Content-Type" => "application/x-ndjson")
puts answer.body
exit answer.is_a?(Net::HTTPSuccess)
