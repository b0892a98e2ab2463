package disk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/engine/enginelog"
	"github.com/glassq/glassq/internal/wal"
)

// A home is a kind of store that an archive can be restored into.
type home struct {
	name string
	open func(t *testing.T, from io.Reader) (glassq.Store, error) // nil: a new one
}

// homes are stores over different logs, with small frames of bodies in memory and bodies that move.
func homes() []home {
	inMemory := func(later bool) func(*testing.T, io.Reader) (glassq.Store, error) {
		return func(t *testing.T, from io.Reader) (glassq.Store, error) {
			opt := enginelog.Options{Later: later, From: from}
			if later {
				opt.Policy = engine.Policy{Window: 4, HandOutsWait: true, ExtendsWait: true, ReadsWait: true}
			}
			l, err := enginelog.Open(enginelog.NewStore(), opt, engine.Options{CacheBytes: 1, CheckpointEvery: 4 << 10})
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { l.Close() })
			return l.Engine, nil
		}
	}
	onDisk := func(t *testing.T, from io.Reader) (glassq.Store, error) {
		dir := filepath.Join(t.TempDir(), "d")
		if from != nil {
			if _, err := disk.Unarchive(from, dir); err != nil {
				if _, serr := os.Stat(dir); !os.IsNotExist(serr) {
					t.Errorf("a refused archive leaves %s behind: %v", dir, serr)
				}
				return nil, err
			}
		}
		e, err := disk.Open(dir, disk.Options{SegmentSize: 16 << 10, CacheBytes: 1, MinFree: disk.Watermark{Bytes: -1}})
		if err == nil {
			t.Cleanup(func() { e.Close() })
		}
		return e, err
	}
	return []home{{"disk", onDisk}, {"log in memory", inMemory(false)}, {"far log", inMemory(true)}}
}

// furnish gives a store a bit of everything, and returns tokens: of an ack that was, and of a lease
// that lives.
func furnish(t *testing.T, s glassq.Store) (acked, leased glassq.Token) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var tasks []glassq.Task
	for i := range 900 { // several chunks of the index, frames and segments
		tasks = append(tasks, glassq.Task{Queue: "q", Run: "r", Dense: true, Position: uint32(i), Type: glassq.TypeText,
			Body: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", i*31%200))})
	}
	for part := range slices.Chunk(tasks, 50) {
		_, err := s.Put(ctx, part)
		must(err)
	}
	reserve := func(r glassq.Reserve) []glassq.Lease {
		t.Helper()
		ls, err := s.Reserve(ctx, r)
		must(err)
		return ls
	}
	for range 40 { // most of what came first is done, so that bodies move
		for i, l := range reserve(glassq.Reserve{Queue: "q", Max: 15}) {
			a := glassq.Ack{Token: l.Token()}
			if i == 0 {
				a.Result = &glassq.Task{Body: []byte(`{"o":{"ok":0}}`)}
			}
			errs, err := s.Ack(ctx, []glassq.Ack{a})
			must(errors.Join(err, errs[0]))
			acked = l.Token()
		}
	}
	leased = reserve(glassq.Reserve{Queue: "q", Max: 1, Lease: time.Hour})[0].Token()
	l := reserve(glassq.Reserve{Queue: "q", Max: 2})
	errs, err := s.Nack(ctx, []glassq.Nack{{Token: l[0].Token(), Dead: true, Reason: "it broke"},
		{Token: l[1].Token(), Delay: time.Hour}})
	must(errors.Join(append(errs, err)...))
	_, err = s.Put(ctx, []glassq.Task{
		{Queue: "named", ID: "mine", Priority: glassq.Level(9), Body: []byte{0, 255}, Headers: map[string]string{"a": "b"},
			Key: "k", Flags: 7, TTL: time.Hour, Attempts: 3, Lease: time.Minute, ResultQueue: "elsewhere"},
		{Queue: "named", Delay: time.Hour, Body: bytes.Repeat([]byte("big"), 200<<10)},
		{Queue: "named", Priority: glassq.Level(0), Body: nil, Extra: []byte(`{"x":1}`), Type: "image/png"},
	})
	must(err)
	rate := 5.0
	paused := true
	_, err = s.Configure(ctx, "named", glassq.SettingsChange{Rate: &rate, Paused: &paused})
	must(err)
	// Keys of a queue: one has a debt of cost, one fewer tokens than a full bucket, one is held.
	slow := glassq.KeyRate("1/h")
	_, err = s.Configure(ctx, "keyed", glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: glassq.KeyLimits{
		Rate: &slow, Burst: new(2.0), CostRate: &slow, CostBurst: new(100.0)}}})
	must(err)
	_, err = s.Put(ctx, []glassq.Task{{Queue: "keyed", Key: "debtor", Cost: 60}, {Queue: "keyed", Key: "saver"}, {Queue: "keyed", Key: "held"}})
	must(err)
	keyed := reserve(glassq.Reserve{Queue: "keyed", Max: 3})
	errs, err = s.Ack(ctx, []glassq.Ack{{Token: keyed[0].Token(), Cost: new(uint32(5000))}, {Token: keyed[1].Token()}})
	must(errors.Join(append(errs, err)...))
	errs, err = s.Nack(ctx, []glassq.Nack{{Token: keyed[2].Token(), Hold: time.Hour, Delay: time.Hour, Reason: "it asked"}})
	must(errors.Join(append(errs, err)...))
	_, err = s.(glassq.Schedules).SetSchedule(ctx, "nightly", glassq.ScheduleChange{Cron: "30 2 * * *", Zone: "Europe/Berlin",
		Task: glassq.Envelope(`{"queue":"named","body":"x"}`)})
	must(err)
	const total = 900
	_, err = s.SetRun(ctx, "r", glassq.RunChange{Sealed: true, Total: total})
	must(err)
	return acked, leased
}

// describe says all that a store shows, but for what depends on the moment.
func describe(t *testing.T, s glassq.Store) string {
	t.Helper()
	var b strings.Builder
	ctx := t.Context()
	queues, err := s.Queues(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queues {
		q.Oldest, q.Waiters = 0, 0
		text, _ := json.Marshal(q) // numbers and texts
		fmt.Fprintf(&b, "queue %s\n", text)
		keys, err := s.(glassq.Keys).Keys(ctx, q.Name, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			held := time.Until(time.UnixMilli(k.HeldUntil)).Round(10 * time.Minute)
			fmt.Fprintf(&b, "%s key %s %s %v %s tokens %.0f %.0f\n", q.Name, k.Key, k.Why, max(0, held), k.HeldFor, *k.Tokens, *k.CostTokens)
		}
		for _, st := range []glassq.State{glassq.Ready, glassq.Delayed, glassq.Leased, glassq.Dead} {
			for cursor := uint64(0); ; {
				ps, next, err := s.Peek(ctx, q.Name, st, cursor, 100)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range ps {
					if p.Age > time.Minute || st == glassq.Delayed && (p.Due > time.Hour || p.Due < 59*time.Minute) {
						t.Errorf("task %d is %v old and due in %v", p.Number, p.Age, p.Due)
					}
					p.Age, p.Due = 0, 0
					fmt.Fprintf(&b, "%s %d %s %+v\n", q.Name, p.Number, p.TaskID(), p)
				}
				if cursor = next; next == 0 {
					break
				}
			}
		}
	}
	schedules, err := s.(glassq.Schedules).Schedules(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "schedules %+v\n", schedules)
	runs, err := s.Runs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		fmt.Fprintf(&b, "run %+v\n", r)
		for _, set := range []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead} {
			ids, err := s.RunIDs(ctx, r.Name, set, 0, 10000)
			fmt.Fprintf(&b, "%v %v %v\n", set, ids, err)
		}
	}
	return b.String()
}

// TestArchive: a store of each kind comes out of its archive as a store of each kind: the same
// queues, runs, tasks and bodies, ids that are still taken, acks that may be repeated, and leases
// that live.
func TestArchive(t *testing.T) {
	for _, from := range homes() {
		for _, to := range homes() {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				a, err := from.open(t, nil)
				if err != nil {
					t.Fatal(err)
				}
				acked, leased := furnish(t, a)
				var buf bytes.Buffer
				if err := a.(glassq.Archiver).Archive(t.Context(), &buf); err != nil {
					t.Fatal(err)
				}
				want := describe(t, a)
				b, err := to.open(t, bytes.NewReader(buf.Bytes()))
				if err != nil {
					t.Fatal(err)
				}
				if got := describe(t, b); got != want {
					t.Errorf("restored:\n%.3000s\nwant:\n%.3000s", diff(got, want), diff(want, got))
				}
				r, err := b.Put(t.Context(), []glassq.Task{{Queue: "named", ID: "mine"}, {Queue: "q", Run: "r", Dense: true,
					Position: 3}})
				if err != nil || !r[0].Duplicate || !r[1].Duplicate {
					t.Errorf("ids that are taken = %+v, %v; want duplicates", r, err)
				}
				errs, err := b.Ack(t.Context(), []glassq.Ack{{Token: acked}, {Token: leased}})
				if err != nil || errs[0] != nil || errs[1] != nil {
					t.Errorf("an ack of before, and one of a lease that lives = %v, %v", errs, err)
				}
				l, err := b.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
				if err != nil || len(l) != 1 || l[0].Number < leased.Number+1<<39 {
					t.Errorf("a new lease = %+v, %v; want a number far above %d", l, err, leased.Number)
				}
			})
		}
	}
}

// diff is what of a is not in b.
func diff(a, b string) string {
	in := map[string]bool{}
	for line := range strings.Lines(b) {
		in[line] = true
	}
	var out strings.Builder
	for line := range strings.Lines(a) {
		if !in[line] {
			fmt.Fprintf(&out, "%.300s\n", line)
		}
	}
	return out.String()
}

// archive is that of a furnished store.
func archive(t testing.TB) []byte {
	t.Helper()
	l, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 4 {
		task := glassq.Task{Queue: "q", Body: fmt.Appendf(nil, "body %d", i), Run: "r", ID: fmt.Sprint(i)}
		if _, err := l.Engine.Put(t.Context(), []glassq.Task{task}); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := l.Engine.Archive(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestArchiveDamage: an archive that is cut, damaged, continued, of another kind or of another
// version is refused with a sentence, and nothing is left of it.
func TestArchiveDamage(t *testing.T) {
	whole := archive(t)
	spoil := func(do func(b []byte) []byte) []byte { return do(bytes.Clone(whole)) }
	type row struct {
		name string
		in   []byte
		code glassq.Code
		says string
	}
	rows := []row{
		{"nothing", nil, glassq.CodeBadRequest, "no archive"},
		{"a text", []byte("hello, this is a text and no archive"), glassq.CodeBadRequest, "no archive"},
		{"a short text", []byte("hi"), glassq.CodeBadRequest, "no archive"},
		{"newer", spoil(func(b []byte) []byte {
			b[8]++
			binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], crc32.MakeTable(crc32.Castagnoli)))
			return b
		}), glassq.CodeUnsupported, "format 2."},
		{"a newer snapshot", spoil(func(b []byte) []byte {
			b[32] = 99 // its format, the first byte of the first block
			table := crc32.MakeTable(crc32.Castagnoli)
			sum := crc32.Checksum(b[:16], table)
			for off := 20; off < len(b); {
				body := b[off+12:][:binary.LittleEndian.Uint32(b[off+4:])]
				sum = crc32.Update(crc32.Update(sum, table, b[off:off+8]), table, body)
				binary.LittleEndian.PutUint32(b[off+8:], sum)
				off += 12 + len(body)
			}
			return b
		}), glassq.CodeUnsupported, "format 99"},
		{"more behind it", append(bytes.Clone(whole), 0), glassq.CodeDamaged, "behind its end"},
		{"a block of 4 GB", spoil(func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[24:], 1<<32-1)
			return b
		}), glassq.CodeDamaged, "bytes"},
	}
	for n := 8; n < len(whole); n += 7 {
		rows = append(rows, row{fmt.Sprintf("cut at %d", n), whole[:n], glassq.CodeDamaged, "cut short"})
	}
	for off := 8; off < len(whole); off += 3 {
		rows = append(rows, row{fmt.Sprintf("byte %d flipped", off), spoil(func(b []byte) []byte { b[off] ^= 4; return b }),
			glassq.CodeDamaged, "the archive is damaged: byte "})
	}
	for k, to := range homes()[:2] {
		for i, tt := range rows {
			if k == 0 && i > 7 && i%16 != 0 {
				continue // a folder is slow to make
			}
			_, err := to.open(t, bytes.NewReader(tt.in))
			if glassq.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s into %s: %v; want code %s and %q", tt.name, to.name, err, tt.code, tt.says)
			}
		}
	}
}

// TestArchiveOfFolder: a stopped folder is archived without a change in it, and one with a body
// that rotted is refused.
func TestArchiveOfFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, disk.Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "body-of-it"); err != nil {
		t.Fatal(err)
	}
	if err := disk.Archive(t.Context(), dir, io.Discard); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("archive of a folder in use = %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	var buf bytes.Buffer
	if err := disk.Archive(t.Context(), dir, &buf); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("the folder has changed:\n%s\nwas:\n%s", after, before)
	}
	file := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := disk.Restore(file, dir+".new"); err != nil || c.Tasks != 1 || c.Queues != 1 {
		t.Fatalf("restore = %+v, %v", c, err)
	}
	if got := drain(t, dir+".new"); !slices.Equal(got, []string{"body-of-it"}) {
		t.Errorf("the restored store holds %q", got)
	}
	rot(t, wal.DirFS(dir), "body-of-it")
	if err := disk.Archive(t.Context(), dir, io.Discard); glassq.CodeOf(err) != glassq.CodeDamaged ||
		!strings.Contains(err.Error(), "segment-") {
		t.Errorf("archive of a damaged body = %v; want damaged, and where", err)
	}
}

// contents are the sums of the files of a folder.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d %08x\n", e.Name(), len(data), crc32.ChecksumIEEE(data))
	}
	return b.String()
}

// TestArchiveEnds: an archive ends with its context, its writer and its store.
func TestArchiveEnds(t *testing.T) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "x"); err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	err = e.Archive(t.Context(), writer(func([]byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) || err.Error() != "full" {
		t.Errorf("an archive whose writer fails = %v, want that it is full, once", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = e.Archive(ctx, writer(func(b []byte) (int, error) { cancel(); return len(b), nil }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an archive whose context ended = %v", err)
	}
	closed := make(chan error, 1)
	err = e.Archive(t.Context(), writer(func(b []byte) (int, error) {
		if len(b) == 20 { // its head: now the store begins to close, and waits for the archive
			go func() { closed <- e.Close() }() // waited for below
			for err := error(nil); err == nil; {
				_, err = e.Held(t.Context(), "q")
			}
		}
		return len(b), nil
	}))
	if err != nil && glassq.CodeOf(err) != glassq.CodeClosed {
		t.Errorf("an archive whose store is closed = %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close = %v", err)
	}
	if err := e.Archive(t.Context(), io.Discard); glassq.CodeOf(err) != glassq.CodeClosed {
		t.Errorf("an archive of a closed store = %v; want code closed", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// FuzzArchive: no archive makes a start panic, and one that is taken holds as many tasks as it
// says. The checksums are made right first, so that what they would find is not all that is tried.
func FuzzArchive(f *testing.F) {
	f.Add(archive(f))
	f.Fuzz(func(t *testing.T, in []byte) {
		resum(in)
		l, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{From: bytes.NewReader(in)}, engine.Options{})
		if err != nil {
			return
		}
		defer l.Close()
		if _, err := l.Engine.Queues(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// resum makes the checksums of an archive right as far as its lengths make sense.
func resum(b []byte) {
	table, le := crc32.MakeTable(crc32.Castagnoli), binary.LittleEndian
	if len(b) < 20 {
		return
	}
	sum := crc32.Checksum(b[:16], table)
	le.PutUint32(b[16:], sum)
	for b = b[20:]; len(b) >= 12; {
		n := int(le.Uint32(b[4:]))
		if n > len(b)-12 {
			return
		}
		sum = crc32.Update(crc32.Update(sum, table, b[:8]), table, b[12:12+n])
		le.PutUint32(b[8:], sum)
		b = b[12+n:]
	}
}
