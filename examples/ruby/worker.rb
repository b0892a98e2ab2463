# A worker with Ruby's standard library, over HTTP.
# A task {"sleep": 2} takes two seconds, {"fail": true} fails, any other succeeds.
require "json"
require "net/http"

SERVER = URI(ENV.fetch("GLASSQ_SERVER", "http://127.0.0.1:5080"))

def post(path, lines = [])
  request = Net::HTTP::Post.new(path, "Content-Type" => "application/x-ndjson")
  request.body = lines.map(&:to_json).join("\n")
  Net::HTTP.start(SERVER.host, SERVER.port) { |http| http.request(request) }.body.to_s.each_line("\n").map { |l| JSON.parse(l) }
end

def work(lease)
  began, body = Process.clock_gettime(Process::CLOCK_MONOTONIC), lease["body"]
  job = body.is_a?(Hash) ? body : {}
  good = job["sleep"].nil? || job["sleep"].is_a?(Numeric)
  sleep(job["sleep"]) if good && job["sleep"]
  rt = Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
  echo = lease.key?("b64") ? { b64: lease["b64"] } : { i: body }
  { token: lease["token"], headers: lease["headers"], result: echo.merge(o: { ok: good && !job["fail"] ? 1 : 0, rt: rt }) }
end

loop do
  leases = post("/v1/queues/tasks/reserve?max=500&wait=10s&lease=10s")
  post("/v1/ack", leases.map { |lease| work(lease) }) unless leases.empty?
rescue SystemCallError, IOError, Timeout::Error
  sleep 0.5 # the server is away
end
