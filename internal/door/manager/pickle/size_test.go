package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// allocated is how many MiB f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

// longText is the instruction for a text of n letters, kept at place 0 of the memo, and then
// dropped.
func longText(n int) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) + strings.Repeat("c", n) + "q\x000"
}

// TestSmallBecomesLarge: a pickle that is short because its parts are shared costs what it is long,
// not what its parts would be side by side. The last column is what AppendJSON says of the value
// under 16 MiB.
func TestSmallBecomesLarge(t *testing.T) {
	const mib = 1 << 20
	latin1 := "X\x06\x00\x00\x00latin1q\x010"
	many := func(n int, s string) string { return "(" + strings.Repeat(s, n) + "l" }
	items := "(N" + strings.Repeat("2", 200_000) + "l" // one list, kept at place 0
	huge := "\x8b\x00\x04\x00\x00" + strings.Repeat("\x7f", 1024) + "q\x000"
	tests := []struct {
		name string
		in   string
		err  error // of Decode or Check
		json error
	}{
		{"one text 150,000 times", longText(mib) + many(150_000, "h\x00"), nil, ErrTooLong},
		{"one text 15 times", longText(mib) + many(15, "h\x00"), nil, nil},
		{"one text as 150,000 values of dicts", longText(mib) + many(50_000, "(U\x01ah\x00d"), nil, ErrTooLong},
		{"one text in lists of lists", longText(mib) + "h\x00" + strings.Repeat("\x85q\x020(h\x02h\x02h\x02h\x02l", 8), nil,
			ErrTooLong},
		{"bytes of one text", longText(mib) + latin1 + "c_codecs\nencode\nq\x020" + many(60_000, "h\x02h\x00h\x01\x86R"),
			ErrPickle, nil},
		{"byte arrays of one text", longText(mib) + latin1 + "cbuiltins\nbytearray\nq\x020" +
			many(60_000, "h\x02h\x00h\x01\x86R"), ErrPickle, nil},
		{"sets of one list", items + "q\x000cbuiltins\nset\nq\x020" + many(60_000, "h\x02h\x00\x85R"), ErrPickle, nil},
		{"dates of one tuple", "(U\x01a" + strings.Repeat("N", 100_000) + "tq\x000cdatetime\ndate\nq\x020" +
			many(20_000, "h\x02h\x00R"), ErrPickle, nil},
		{"classes of one name", "X\xf0\x00\x00\x00" + strings.Repeat("m", 240) + "q\x000" + many(150_000, "h\x00h\x00\x93"),
			ErrPickle, nil},
		{"one integer of 1 KiB 150,000 times", huge + many(150_000, "h\x00"), nil, ErrTooLong},
		{"control characters", "X\x00\x00\xf0\x00" + strings.Repeat("\x00", 15*mib) + "\x85", nil, ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := []byte("\x80\x04" + tt.in + ".")
			var d Decoder
			var v *Value
			var report Report
			var err error
			used := allocated(func() {
				if v, _, err = d.Decode(in); err == nil {
					report, err = Check(v, Limits{})
				}
			})
			if !errors.Is(err, tt.err) || used > 96 {
				t.Fatalf("%d bytes: %v, %d MiB allocated; want %v", len(in), err, used, tt.err)
			}
			if err != nil {
				return
			}
			used = allocated(func() {
				var text []byte
				text, err = AppendJSON(nil, v, false, 16*mib)
				if err == nil && int64(len(text)) < report.Bytes {
					t.Errorf("%d bytes of JSON, where the report says at least %d", len(text), report.Bytes)
				}
			})
			if !errors.Is(err, tt.json) || used > 192 {
				t.Errorf("as JSON: %v, %d MiB allocated; want %v", err, used, tt.json)
			}
			for _, to := range []Dialect{Neutral, Python2, Python3} {
				used = allocated(func() {
					var out []byte
					if out, err = Append([]byte{opProto, 4}, v, to); err == nil && len(out) > len(in)+8*mib {
						t.Errorf("as a pickle of dialect %d: %d bytes of %d", to, len(out), len(in))
					}
				})
				if err != nil || used > 128 {
					t.Errorf("as a pickle of dialect %d: %v, %d MiB allocated", to, err, used)
				}
			}
		})
	}
}

// TestSharedStaysShared: what is one object in the pickle that was read is one in the pickle that
// is written, in each of several that hold it.
func TestSharedStaysShared(t *testing.T) {
	class := &Value{Kind: Global, Raw: []byte("datetime\ntimedelta")}
	one := &Value{Kind: Int, Num: 1}
	delta := &Value{Kind: Reduce, Items: []*Value{class, {Kind: Tuple, Items: []*Value{one, one, one}}}}
	text := &Value{Kind: Text, Raw: bytes.Repeat([]byte("shared "), 20)}
	v := &Value{Kind: List, Items: []*Value{delta, delta, text, text}}
	if _, err := Check(v, Limits{}); err != nil {
		t.Fatal(err)
	}
	plain, err := AppendJSON(nil, v, false, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := AppendJSON(nil, v, true, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Dump(v, false)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := new(Decoder).Decode(raw)
	if err != nil {
		t.Fatalf("what was kept does not read: %v", err)
	}
	if kept.Items[0] != kept.Items[1] || kept.Items[2] != kept.Items[3] {
		t.Errorf("kept as %x: two objects instead of one", raw)
	}
	for _, printed := range [][]byte{plain, exact} {
		again, ok := ParseJSON(printed, Limits{})
		if !ok {
			t.Fatalf("%s does not read", printed)
		}
		for i, x := range again.Items[:2] {
			if x.Kind != Reduce {
				t.Errorf("%s: item %d is not the object it was", printed, i)
			}
		}
	}
}

// TestRoundInCircles: an object that is among what makes it, beside much else, is refused before it
// fills memory.
func TestRoundInCircles(t *testing.T) {
	set := &Value{Kind: Set}
	args := &Value{Kind: Tuple, Items: []*Value{set}}
	r := &Value{Kind: Reduce, Items: []*Value{{Kind: Global, Raw: []byte("a\nb")}, args}}
	set.Items = append(slices.Repeat([]*Value{{Kind: Int, Num: 1}}, 100_000), r)
	if report, err := Check(set, Limits{}); err != nil || report.Foreign == "" {
		t.Fatalf("%+v, %v", report, err)
	}
	var err error
	used := allocated(func() { _, err = Dump(set, false) })
	if err == nil || used > 512 {
		t.Errorf("%v, %d MiB allocated", err, used)
	}
}

// TestManySmallPickles: pickles within JSON share what a decoder takes at once.
func TestManySmallPickles(t *testing.T) {
	in := []byte("[" + strings.Repeat(`{"$py":"pickle","b64":"Ti4="},`, 40_000) + "1]")
	used := allocated(func() {
		if v, ok := ParseJSON(in, Limits{}); !ok || len(v.Items) != 40_001 || v.Items[0].Kind != None {
			t.Error("not what was written")
		}
	})
	if used > 96 {
		t.Errorf("%d MiB allocated for %d KiB", used, len(in)>>10)
	}
}

// TestForget: a decoder that rests keeps little.
func TestForget(t *testing.T) {
	var d Decoder
	if _, _, err := d.Decode([]byte("(" + strings.Repeat("N", 100_000) + "l.")); err != nil {
		t.Fatal(err)
	}
	d.Forget()
	if len(d.slabs) > keepSlabs || cap(d.stack) > keepStack || d.in != nil {
		t.Errorf("%d slabs, a stack of %d and %d bytes are kept", len(d.slabs), cap(d.stack), len(d.in))
	}
}
