package output

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

func leaseOf(n uint32, body string) *glassq.Lease {
	return &glassq.Lease{Task: glassq.Task{ID: glassq.DenseID("r1", n), Run: "r1", Position: n, OfAttempt: 2, Body: []byte(body)}}
}

func recordOf(l *glassq.Lease) *record {
	r := new(record)
	r.read(l, new(object), time.Unix(1e9, 0))
	return r
}

func TestCSV(t *testing.T) {
	plainColumns := &columns{more: true}
	further := &columns{names: []string{"sha256", "ph", "a,b"}, more: true}
	for _, tt := range []struct {
		name, body string
		c          *columns
		want       string
	}{
		{"all", `{"i":"http://h/?q=1","o":{"ok":1,"rt":0.0125,"lag":0.5,"code":200,"n":77,"t":1767225600.25,"w":"w1","a":3}}`, plainColumns,
			"r1/7,r1,1,0.012500,0.500000,200,,,77,1767225600.250,w1,3,http://h/?q=1,"},
		{"failed", `{"i":"x","o":{"ok":0,"err":"timeout","msg":"say \"no\", please"}}`, plainColumns,
			`r1/7,r1,0,,,,timeout,"say ""no"", please",,,,2,x,`},
		{"line ends", `{"i":"a\nb\r\nc","o":{"ok":1}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,a b  c,`},
		{"a formula", `{"i":"=cmd|' /C calc'!A0","o":{"ok":0,"msg":"@SUM(1,2)"}}`, plainColumns,
			`r1/7,r1,0,,,,,"'@SUM(1,2)",,,,2,'=cmd|' /C calc'!A0,`},
		{"a formula behind a tab", `{"i":"\t+1+1","o":{"ok":1}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,' +1+1,`},
		{"a formula with an apostrophe of its own", `{"i":"'-a","o":{"ok":1}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,''-a,`},
		{"a formula of East Asia", `{"i":"＝1","o":{"ok":1}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,'＝1,`},
		{"numbers", `{"i":"-1.5","o":{"ok":1,"sha256":-2e-3,"ph":"+.5"}}`, further, `r1/7,r1,1,,,,,,,,,2,-1.5,-2e-3,+.5,,`},
		{"no number", `{"i":"-","o":{"ok":1,"sha256":"+49 30 1"}}`, further, `r1/7,r1,1,,,,,,,,,2,'-,'+49 30 1,,,`},
		{"for a terminal", `{"i":"a\u001b[2Jb\u009b31m\u202e","o":{"ok":1}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,a?[2Jb?31m?,`},
		{"raw", `{"i":"=1\u001b","o":{"ok":1,"x":"'=1"}}`, &columns{more: true, raw: true, names: []string{"x"}},
			"r1/7,r1,1,,,,,,,,,2,=1\x1b,'=1,"},
		{"object", `{"i":{"url":"http://h/","n":1},"o":{"ok":1}}`, plainColumns,
			`r1/7,r1,1,,,,,,,,,2,"{""url"":""http://h/"",""n"":1}",`},
		{"no record", `plain, text`, plainColumns, `r1/7,r1,1,,,,,,,,,2,"plain, text",`},
		{"nothing", ``, plainColumns, `r1/7,r1,1,,,,,,,,,2,,`},
		{"of an earlier version", `{"i":"x","o":{"ok":1}}`, &columns{}, `r1/7,r1,1,,,,,,,,,2,x`},
		{"further members", `{"i":"x","o":{"sha256":"ab","ok":1,"ph":{"dns":0.1},"a,b":[1,"z"]}}`, further,
			`r1/7,r1,1,,,,,,,,,2,x,ab,"{""dns"":0.1}","[1,""z""]",`},
		{"one without a column", `{"i":"x","o":{"ok":1,"tries":2,"url":"http://h/"}}`, further,
			`r1/7,r1,1,,,,,,,,,2,x,,,,"{""tries"":2,""url"":""http://h/""}"`},
		{"none has a column", `{"i":"x","o":{"ok":1,"tries":2}}`, plainColumns, `r1/7,r1,1,,,,,,,,,2,x,"{""tries"":2}"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := appendCSV(nil, recordOf(leaseOf(7, tt.body)), tt.c)
			if string(line) != tt.want+"\n" {
				t.Fatalf("line = %q\nwant   %q", line, tt.want+"\n")
			}
			head, err := csv.NewReader(bytes.NewReader(tt.c.header())).Read()
			if err != nil {
				t.Fatal(err)
			}
			fields, err := csv.NewReader(bytes.NewReader(line)).Read()
			if err != nil || len(fields) != len(head) {
				t.Errorf("%d fields, %v; want %d", len(fields), err, len(head))
			}
			// What is read again makes the same line, with the columns of the file's first.
			again, ok := readColumns(tt.c.header(), tt.c.raw)
			var l glassq.Lease
			if !ok || !parseCSV(line, &l, again) {
				t.Fatal("parseCSV refuses it")
			}
			if again := appendCSV(nil, recordOf(&l), again); !bytes.Equal(again, line) && tt.name != "line ends" {
				t.Errorf("read again it is %q, was %q", again, line)
			}
		})
	}
	for _, line := range []string{"", "a,b\n", "\"\n", strings.Repeat(",", 13) + "\n"} {
		if parseCSV([]byte(line), new(glassq.Lease), plainColumns) {
			t.Errorf("parseCSV(%q) accepts it", line)
		}
	}
}

// The first results say which columns there are, and a file that is continued keeps them.
func TestColumns(t *testing.T) {
	results := []glassq.Lease{*leaseOf(0, `{"i":"x","o":{"ok":1,"sha256":"ab","id":1}}`), *leaseOf(1, "text"),
		*leaseOf(2, `{"o":{"tries":2,"sha256":"cd"}}`)}
	const fixed = "id,run,ok,rt,lag,code,err,msg,bytes,t,worker,attempt,input"
	for _, tt := range []struct {
		name   string
		leases []glassq.Lease
		asked  []string
		want   string
	}{
		{"some", results, nil, fixed + ",sha256,tries,more\n"},
		{"none", nil, nil, fixed + ",more\n"},
		{"asked for", results, []string{"tries", "hops"}, fixed + ",tries,hops,sha256,more\n"},
		{"asked for, without results", nil, []string{"tries"}, fixed + ",tries,more\n"},
		{"a formula", []glassq.Lease{*leaseOf(0, `{"o":{"=a":1}}`)}, nil, fixed + ",'=a,more\n"},
	} {
		if got := string(chooseColumns(tt.leases, tt.asked, false).header()); got != tt.want {
			t.Errorf("%s: header %q, want %q", tt.name, got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		for n, body := range []string{`{"i":"x","o":{"ok":1,"sha256":"ab"}}`,
			`{"i":"y","o":{"ok":1,"tries":2,"sha256":"cd"}}`} {
			q := newFake()
			q.run = &glassq.Run{Name: "r1", Results: "results.r1", Sealed: true, Total: uint64(n + 1),
				Books: glassq.Books{Put: uint64(n + 1), OK: uint64(n + 1)}}
			q.done = []glassq.Interval{{First: 0, Last: uint32(n)}}
			q.add(uint32(n), body)
			seen, _, err := LoadSeen(bytes.NewReader(file.Bytes()), LoadOptions{Run: "r1", Format: CSV})
			if err != nil {
				t.Fatal(err)
			}
			if rep, err := Run(t.Context(), q, Options{Run: "r1", W: &file, Format: CSV, Seen: seen}); err != nil ||
				!rep.Balanced() {
				t.Fatalf("Run = %+v, %v", rep, err)
			}
		}
		lines := strings.Split(file.String(), "\n")
		if len(lines) != 4 || lines[0] != fixed+",sha256,more" || !strings.HasSuffix(lines[1], ",x,ab,") ||
			!strings.HasSuffix(lines[2], `,y,cd,"{""tries"":2}"`) {
			t.Errorf("the file is %q", lines)
		}
	})
}

// Results that are no JSON are kept, counted as ok, and told.
func TestResultsThatAreNoJSON(t *testing.T) {
	bodies := []string{"plain", "", "\xff\xfe", "[1,2]", `{"o":`, `"text"`, `{"o":{"ok":0}}`, "two\nlines",
		strings.Repeat("[", 20000)}
	for _, format := range []Format{NDJSON, CSV, Text, None} {
		t.Run(string(format), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFake()
				n := uint64(len(bodies))
				q.run = &glassq.Run{Name: "r1", Results: "results.r1", Sealed: true, Total: n,
					Books: glassq.Books{Put: n, OK: n - 1, Failed: 1}}
				q.done = []glassq.Interval{{First: 0, Last: uint32(n) - 1}}
				for i, body := range bodies {
					q.add(uint32(i), body)
				}
				var out bytes.Buffer
				rep, err := Run(t.Context(), q, Options{Run: "r1", W: &out, Format: format})
				if err != nil || rep.Written != n || rep.Failed != 1 || rep.NoRecord != n-1 || !rep.Balanced() {
					t.Fatalf("Run = %+v, %v; want %d written, 1 failed, %d no records", rep, err, n, n-1)
				}
				lines := strings.SplitAfter(out.String(), "\n")
				switch format {
				case CSV:
					lines = lines[1:]
				case None:
					return
				}
				if len(lines)-1 != len(bodies) {
					t.Errorf("%d lines, want %d", len(lines)-1, len(bodies))
				}
				for _, line := range lines[:len(lines)-1] {
					if format == NDJSON && !json.Valid([]byte(line)) {
						t.Errorf("line %.200q is no JSON", line)
					}
				}
			})
		})
	}
}

// What the lists name, a later call reads from the continued file again.
func TestIDLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1", Sealed: true, Total: 6,
			Books: glassq.Books{Put: 6, OK: 4, Failed: 2}}
		q.done = []glassq.Interval{{First: 0, Last: 5}}
		for _, n := range []uint32{0, 1, 3, 1, 1} {
			q.add(n, `{"i":"x","o":{"ok":`+string('0'+rune(n%2))+`}}`)
		}
		var out, missing, failed, duplicate bytes.Buffer
		rep, err := Run(t.Context(), q, Options{Run: "r1", W: &out, Missing: &missing, Failed: &failed,
			Duplicate: &duplicate})
		if err != nil || rep.Missing != 3 {
			t.Fatalf("Run = %+v, %v; want 3 missing", rep, err)
		}
		for _, l := range []struct{ name, got, want string }{
			{"missing", missing.String(), "r1/2\nr1/4\nr1/5\n"}, {"failed", failed.String(),
				`{"body":"x","failed":{"id":"r1/0","err":"unknown"}}` + "\n"}, {"duplicate",
				duplicate.String(), "r1/1\n"},
		} {
			if l.got != l.want {
				t.Errorf("%s = %q, want %q", l.name, l.got, l.want)
			}
		}
		var again bytes.Buffer
		seen, _, err := LoadSeen(&out, LoadOptions{Run: "r1", Failed: &again})
		if err != nil || seen.Count("r1") != 3 || again.String() != failed.String() {
			t.Errorf("LoadSeen = %d, %v, failed %q; want 3 and %q", seen.Count("r1"), err, again.String(), failed.String())
		}
	})
}
