package memcache

import (
	"strings"
	"testing"
)

// TestPeer sends what newer clients and monitors send to this door and to a real memcached, beyond
// what TestNoreply does. The two say the same, or the row says why not.
func TestPeer(t *testing.T) {
	const (
		format     = "CLIENT_ERROR bad command line format\r\n"
		noDelta    = "CLIENT_ERROR invalid numeric delta argument\r\n"
		theirTake  = "what is got is gone: a queue is no cache"
		theirKey   = "memcached 1.6.18 gives back the decoded key"
		theirStats = "memcached tells of its memory and its clients"
		noCache    = "a flag that is about a cache is refused, not passed over"
		theirWord  = "memcached says which word"
	)
	rows := []struct {
		name, send, ours, theirs, why string
	}{
		{name: "mn", send: "mn\r\nmn x\r\n", ours: "MN\r\nMN\r\n"},
		{name: "no key", send: "mg\r\nms\r\nmd\r\nma\r\n", ours: badVerb + badVerb + badVerb + badVerb},
		{name: "me without key", send: "me\r\n", ours: format},
		{name: "miss", send: "mg k\r\nmg k v\r\nmg k v f c s t O1 k\r\n", ours: "EN\r\nEN\r\nEN O1 kk\r\n"},
		{name: "quiet misses and mn", send: "mg k v q\r\nmg k q O1\r\nmn\r\n", ours: "MN\r\n"},
		{name: "set", send: "ms k 1\r\na\r\nms k 1 q\r\na\r\nms k 1 T0 F5 O7 k\r\na\r\n", ours: "HD\r\nHD O7 kk\r\n"},
		{name: "modes", send: "ms k 1 MS\r\na\r\nms k 1 MS q\r\na\r\nms n 1 MR k\r\na\r\n" +
			"ms n 1 MA O1 q\r\na\r\nms n 1 MP\r\na\r\n",
			ours: "HD\r\nNS kn\r\nNS O1\r\nNS\r\n"},
		{name: "no such mode", send: "ms k 1 MX\r\na\r\nms k 1 Mset\r\na\r\n",
			ours: "CLIENT_ERROR invalid mode for ms M token\r\nCLIENT_ERROR incorrect length for M token\r\n"},
		{name: "get", send: "ms k 1 F5\r\na\r\nmg k v f s t k O1\r\n", ours: "HD\r\nVA 1 f5 s1 t-1 kk O1\r\na\r\n"},
		{name: "got twice", send: "ms k 1\r\na\r\nmg k v q\r\nmg k v\r\n", ours: "HD\r\nVA 1\r\na\r\nEN\r\n",
			theirs: "HD\r\nVA 1\r\na\r\nVA 1\r\na\r\n", why: theirTake},
		{name: "look", send: "ms k 1 F5\r\na\r\nmg k\r\nmg k q\r\nmg k s f k\r\n", ours: "HD\r\nHD\r\nHD\r\nHD s1 f5 kk\r\n"},
		{name: "base64", send: "ms aw== 1 b k\r\na\r\nmg aw== b v\r\nmg a!w b\r\n",
			ours: "HD kaw== b\r\nVA 1\r\na\r\nCLIENT_ERROR error decoding key\r\n"},
		{name: "base64 and back", send: "ms k 1\r\na\r\nmg aw== b v k\r\n", ours: "HD\r\nVA 1 kaw== b\r\na\r\n",
			theirs: "HD\r\nVA 1 kk\r\na\r\n", why: theirKey},
		{name: "cas of nothing", send: "ms n 1 C99 O3 k\r\na\r\nmd n C99 k\r\nmd n C99 O1 q\r\n",
			ours: "NF O3 kn\r\nNF kn\r\nNF O1\r\n"},
		{name: "count", send: "ma n\r\nma n q\r\nma n k O4\r\n", ours: "NF\r\nNF\r\nNF kn O4\r\n"},
		{name: "touch of nothing", send: "mg n T30\r\nmg n T30 q\r\n", ours: "EN\r\n"},
		{name: "bad flags", send: "mg k !\r\nmg k v v\r\nmg k Tx\r\nmg k xyz\r\n", ours: "CLIENT_ERROR invalid flag\r\n" +
			"CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR bad token in command line format\r\nCLIENT_ERROR invalid flag\r\n"},
		{name: "long opaque", send: "mg k O" + strings.Repeat("x", 40) + "\r\n",
			ours: "CLIENT_ERROR opaque token too long\r\n"},
		{name: "flags of a cache", send: "mg k N30\r\nmg k C5\r\n",
			ours:   "CLIENT_ERROR invalid flag\r\nCLIENT_ERROR invalid flag\r\n",
			theirs: "HD W\r\nHD Z\r\n", why: noCache},
		{name: "a body of a refused set", send: "ms k 6 !\r\nget k \r\n", ours: "CLIENT_ERROR invalid flag\r\n"},

		{name: "counts", send: "incr n 1\r\ndecr n 1\r\nincr n\r\nincr n x\r\nincr n -1\r\nincr n 1 2 3\r\n", ours: notFound +
			notFound + badVerb + noDelta + noDelta + badVerb},
		{name: "changes", send: "append n 0 0 1\r\na\r\nprepend n 0 0 1\r\na\r\nreplace n 0 0 1\r\na\r\n",
			ours: notStored + notStored + notStored},
		{name: "touch", send: "touch n 5\r\n", ours: notFound},
		{name: "touch by no number", send: "touch n x\r\n", ours: format, theirs: "CLIENT_ERROR invalid exptime argument\r\n",
			why: theirWord},
		{name: "gat", send: "gat 5 n\r\ngats 5 n n\r\ngat -1 n\r\ngat\r\ngat x n\r\n",
			ours: endOf + endOf + endOf + badVerb + "CLIENT_ERROR invalid exptime argument\r\n"},
		{name: "gat of something", send: "set k 7 0 1\r\na\r\ngat 5 k\r\n", ours: stored + "VALUE k 7 1\r\na\r\n" + endOf},
		{name: "stats nonsense", send: "stats nonsense\r\n", ours: badVerb},
		{name: "stats items and slabs", send: "stats items\r\n", ours: endOf},
		{name: "stats sizes", send: "stats sizes\r\n", ours: endOf, theirs: "STAT sizes_status disabled\r\n" + endOf,
			why: theirStats},
	}
	r := openPort(t, setup{MaxBody: 1 << 20})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := answers(t, "tcp", r.addr, []string{row.send + fin}); got != row.ours {
				t.Errorf("%.80q: this door says %q; want %q", row.send, got, row.ours)
			}
			if row.why == "" {
				row.theirs = row.ours
			}
			peer := startMemcached(t) // a new one: what flush_all took is there in some of its answers
			if got := answers(t, "unix", peer, []string{row.send + fin}); got != row.theirs {
				t.Errorf("%.80q: memcached says %q; the row says %q", row.send, got, row.theirs)
			}
		})
	}
}
