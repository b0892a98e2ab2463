# Dalli as a client of the memcached door. From version 4 on it speaks meta commands and goes through all verbs; older
# ones speak the binary protocol, and print what they are told.
require "dalli"

client = Dalli::Client.new(ARGV[0], raw: true, socket_timeout: 20)

def same(what, got, want)
  abort "#{what} = #{got.inspect}; want #{want.inspect}" unless got == want
end

if Dalli::VERSION.to_i < 4
  begin
    client.get("q")
  rescue StandardError => e
    puts "Dalli #{Dalli::VERSION}: #{e.message}"
  end
  exit
end

same "set", client.set("q", "one"), 0 # the cas value of a task that nobody has is 0
same "add", client.add("q/id=1", "two"), 0
same "add again", client.add("q/id=1", "two"), false
same "get", client.get("q"), "one"
body, lease = client.get_cas("q/t=1000")
same "get_cas", [body, lease > 0], ["two", true]
same "get of what is leased", client.get("q"), nil
same "touch", !!client.touch("q/#{lease}", 30), true
same "delete_cas", client.delete_cas("q", lease), true
same "delete_cas again", client.delete_cas("q", lease), true
same "delete_cas of no lease", client.delete_cas("q", 1 << 50), false

client.set("q", "three")
_, lease = client.get_cas("q")
same "set_cas", client.set_cas("results", '{"o":{"ok":1}}', lease), 0
same "get of the result", client.get("results"), '{"o":{"ok":1}}'
same "set_cas of a lost lease", !!client.set_cas("results", "x", 1 << 50), false

client.set("q", "four")
_, lease = client.get_cas("q")
same "nack", client.set("q/#{lease}/nack", ""), 0
_, lease = client.get_cas("q/t=1000")
same "ack of the second lease", client.delete("q/#{lease}"), true

client.set("a", "1")
client.set("b", "2")
same "get_multi", client.get_multi("a", "none", "b"), { "a" => "1", "b" => "2" }
client.quiet { 10.times { |i| client.set("many", i.to_s) } }
same "quiet sets", 10.times.map { client.get("many") }, %w[0 1 2 3 4 5 6 7 8 9]
same "a key in base64", client.set("q/key=käse", "five"), 0
same "its task", client.get("q"), "five"
same "incr", client.incr("none", 1), nil
same "append", !!client.append("none", "x"), false
same "replace", !!client.replace("none", "x"), false
same "large", client.set("large", "x" * 900_000), 0
same "large, back", client.get("large").size, 900_000
same "version", client.version.values, ["1.6.0"]
same "stats", client.stats.values[0]["curr_items"].to_i >= 0, true
puts "Dalli #{Dalli::VERSION}: ok"
