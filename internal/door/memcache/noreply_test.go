package memcache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fin ends every row of TestNoreply: both servers answer it alike, and where an answer came before
// it that nobody waited for, every later one is shifted.
const (
	fin       = "set fin 0 0 1\r\nz\r\nget fin\r\n"
	finAnswer = "STORED\r\nVALUE fin 0 1\r\nz\r\nEND\r\n"
)

const (
	theirWords  = "memcached counts the words first, and so answers ERROR where there are too few or too many"
	theirBody   = "memcached does not read past the body of a line that it refuses: it takes it for a command"
	theirVerbs  = "memcached knows no noreply of a verb that it does not know"
	theirCut    = "where a body ends cannot be known: we cut, memcached reads on"
	theirChunk  = "memcached looks for the next line in a body that is too long; we cut"
	queueCannot = "a queue cannot be purged later"
)

// TestNoreply sends what wants no answer, and some that does, to this door and to a real memcached.
// The two say the same, or the row says why not.
func TestNoreply(t *testing.T) {
	const bad = "CLIENT_ERROR bad command line format\r\n"
	rows := []struct {
		name, send string
		ours       string // before the answer to fin; with (cut) at its end the connection ends instead
		theirs     string // where why is set
		why        string
	}{
		{name: "set", send: "set k 0 0 1 noreply\r\na\r\n"},
		{name: "set, asked", send: "set k 0 0 1\r\na\r\n", ours: stored},
		{name: "flags", send: "set k x 0 1 noreply\r\na\r\n", theirs: badVerb, why: theirBody},
		{name: "exptime", send: "set k 0 x 1 noreply\r\na\r\n", theirs: badVerb, why: theirBody},
		{name: "no such length", send: "set k 0 0 x noreply\r\n", ours: "(cut)", why: theirCut},
		{name: "negative length", send: "set k 0 0 -1 noreply\r\n", ours: "(cut)", why: theirCut},
		{name: "no length", send: "set k 0 0 noreply\r\n", ours: "(cut)", why: theirCut},
		{name: "nothing but key", send: "set k noreply\r\n", ours: "(cut)", theirs: badVerb, why: theirCut},
		{name: "delete of a key called noreply", send: "delete noreply\r\n", ours: notFound},
		{name: "a key called noreply", send: "set noreply 0 0 1\r\na\r\n", ours: stored},
		{name: "no key", send: "set noreply\r\n", ours: bad + "(cut)", theirs: badVerb, why: theirCut},
		{name: "a word too many", send: "set k 0 0 1 x noreply\r\na\r\n", theirs: badVerb + badVerb, why: theirBody},
		{name: "noreply is not last", send: "set k 0 0 1 noreply x\r\na\r\n", ours: bad, theirs: badVerb + badVerb,
			why: theirBody},
		{name: "body too long", send: "set k 0 0 3 noreply\r\nabcde\r\n", ours: "(cut)", theirs: badVerb, why: theirChunk},
		{name: "key too long", send: "set " + strings.Repeat("k", 251) + " 0 0 1 noreply\r\na\r\n", theirs: badVerb,
			why: theirBody},
		{name: "too large", send: "set k 0 0 2000000 noreply\r\n" + strings.Repeat("a", 2000000) + "\r\n"},
		{name: "add twice", send: "add k/id=1 0 0 1 noreply\r\na\r\nadd k/id=1 0 0 1 noreply\r\na\r\n"},
		{name: "append", send: "append k 0 0 1 noreply\r\na\r\n"},
		{name: "prepend", send: "prepend k 0 0 1 noreply\r\na\r\n"},
		{name: "replace", send: "replace k 0 0 1 noreply\r\na\r\n"},
		{name: "append, asked", send: "append k 0 0 1\r\na\r\n", ours: notStored},
		{name: "cas", send: "cas k 0 0 1 5 noreply\r\na\r\n"},
		{name: "cas, asked", send: "cas k 0 0 1 5\r\na\r\n", ours: notFound},
		{name: "no such cas", send: "cas k 0 0 1 x noreply\r\na\r\n", theirs: badVerb, why: theirBody},
		{name: "cas without", send: "cas k 0 0 1 noreply\r\na\r\n", theirs: badVerb, why: theirBody},
		{name: "incr", send: "incr k 1 noreply\r\n"},
		{name: "decr", send: "decr k 1 noreply\r\n"},
		{name: "incr by no number", send: "incr k x noreply\r\n"},
		{name: "incr by nothing", send: "incr k noreply\r\n"},
		{name: "incr of nothing", send: "incr noreply\r\n", ours: badVerb},
		{name: "incr, asked", send: "incr k 1\r\n", ours: notFound},
		{name: "spaces", send: "incr  k 1  noreply  \r\n"},
		{name: "in capitals", send: "incr k 1 NOREPLY\r\n", ours: badVerb, theirs: notFound, why: theirWords},
		{name: "with more behind", send: "incr k 1 noreply x\r\n", ours: badVerb},
		{name: "delete", send: "delete k noreply\r\n"},
		{name: "delete 0", send: "delete k 0 noreply\r\n"},
		{name: "delete 5", send: "delete k 5 noreply\r\n"},
		{name: "delete x", send: "delete k x noreply\r\n"},
		{name: "delete 0 0", send: "delete k 0 0 noreply\r\n", theirs: badVerb, why: theirWords},
		{name: "touch", send: "touch k/9 5 noreply\r\n"},
		{name: "touch x", send: "touch k x noreply\r\n"},
		{name: "touch without time", send: "touch k noreply\r\n"},
		{name: "touch 5 6", send: "touch k 5 6 noreply\r\n", theirs: badVerb, why: theirWords},
		{name: "touch of nothing", send: "touch noreply\r\n", ours: bad, theirs: badVerb, why: theirWords},
		{name: "flush_all", send: "flush_all noreply\r\n"},
		{name: "flush_all 0", send: "flush_all 0 noreply\r\n"},
		{name: "flush_all 10", send: "flush_all 10 noreply\r\n"},
		{name: "flush_all x", send: "flush_all x noreply\r\n"},
		{name: "flush_all -1", send: "flush_all -1 noreply\r\n"},
		{name: "flush_all 0 0", send: "flush_all 0 0 noreply\r\n", theirs: badVerb, why: theirWords},
		{name: "flush_all 10, asked", send: "flush_all 10\r\n", ours: "CLIENT_ERROR flush_all cannot wait\r\n",
			theirs: okay, why: queueCannot},
		{name: "verbosity", send: "verbosity noreply\r\n"},
		{name: "verbosity 1", send: "verbosity 1 noreply\r\n"},
		{name: "verbosity x", send: "verbosity x noreply\r\n"},
		{name: "verbosity 1 2", send: "verbosity 1 2 noreply\r\n", theirs: badVerb, why: theirWords},
		{name: "verbosity, asked", send: "verbosity 1\r\n", ours: okay},
		{name: "cache_memlimit", send: "cache_memlimit 64 noreply\r\n"},
		{name: "a verb of nobody", send: "frobnicate k 2 noreply\r\n", theirs: badVerb, why: theirVerbs},
		{name: "its only word", send: "frobnicate noreply\r\n", ours: badVerb},
		{name: "a verb called noreply", send: "noreply\r\n", ours: badVerb},
		{name: "get", send: "get noreply\r\n", ours: endOf},
		{name: "get of two", send: "get k noreply\r\n", ours: endOf},
		{name: "gets", send: "gets k noreply\r\n", ours: endOf},
		{name: "gat", send: "gat 0 k noreply\r\n", ours: endOf},
		{name: "mg", send: "mg k noreply\r\n", ours: "CLIENT_ERROR invalid flag\r\n"},
		{name: "ms", send: "ms k 1 noreply\r\na\r\n", ours: "CLIENT_ERROR invalid flag\r\n"},
		{name: "stats", send: "stats noreply\r\n", ours: badVerb},
		{name: "quit", send: "quit noreply\r\n", ours: "(cut)"},
		{name: "a line of its own behind", send: "incr k 1 noreply\r\ndelete k 5 noreply\r\nget k\r\nset k x 0 1 noreply\r\na\r\nget k\r\n",
			ours: endOf + endOf, theirs: endOf + badVerb + endOf, why: theirBody},
	}
	r := openPort(t, setup{MaxBody: 1 << 20})
	peer := startMemcached(t)
	for _, row := range rows {
		for _, way := range []struct {
			name  string
			parts []string
		}{
			{"at once", []string{row.send + fin}},
			{"apart", append(strings.SplitAfter(row.send, "\n"), fin)},
		} {
			t.Run(row.name+", "+way.name, func(t *testing.T) {
				if got := answers(t, "tcp", r.addr, way.parts); got != row.ours {
					t.Errorf("%.80q: this door says %q; want %q", row.send, got, row.ours)
				}
				if row.why == "" {
					row.theirs = row.ours
				}
				if got := answers(t, "unix", peer, way.parts); got != row.theirs {
					t.Errorf("%.80q: memcached says %q; the row says %q", row.send, got, row.theirs)
				}
			})
		}
	}
}

// answers sends the parts on a connection of their own, to a server that was emptied, and returns
// what came before the answer to fin, or before the end, which is noted.
func answers(t *testing.T, network, addr string, parts []string) string {
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	expect(t, nc, "flush_all\r\n", okay)
	go func() { // ends when the connection does
		for _, p := range parts {
			io.WriteString(nc, p)
		}
	}()
	var got strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := nc.Read(buf)
		got.Write(buf[:n])
		if before, ok := strings.CutSuffix(got.String(), finAnswer); ok {
			return before
		}
		if err != nil {
			return got.String() + "(cut)"
		}
	}
}

// startMemcached runs the real one until the test ends, and returns the path of its socket.
func startMemcached(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("memcached")
	if err != nil {
		t.Skip("needs memcached: install the package memcached")
	}
	path := filepath.Join(t.TempDir(), "m")
	args := []string{"-s", path, "-vv"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it asks for that
	}
	cmd := exec.Command(program, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
	})
	listening := make(chan error, 2)
	go func() {
		defer close(read)
		said := ""
		in := bufio.NewScanner(stderr)
		for in.Scan() {
			if said += in.Text() + "\n"; strings.Contains(in.Text(), "server listening") {
				listening <- nil
				break
			}
		}
		listening <- fmt.Errorf("memcached has ended: %s", said) // nobody reads it where it listens
		io.Copy(io.Discard, stderr)
	}()
	if err := <-listening; err != nil {
		t.Fatal(err)
	}
	return path
}
