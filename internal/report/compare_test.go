package report

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// timed is a document of n results, each i mod spread + base milliseconds, so many of them failed.
func timed(n, failed, base, spread int) *Document {
	h := NewHistogram(3)
	for i := range n {
		h.Record(time.Duration(base+i%spread) * time.Millisecond)
	}
	return &Document{Version: DocumentVersion, Results: uint64(n), OK: uint64(n - failed), Failed: uint64(failed),
		Service: h.Latency(true),
		Rate:    Rate{Reached: float64(n) / 60, Span: 60, Deviation: 0.02}}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b *Document
		want map[string]string
	}{
		{"same", timed(10000, 100, 10, 50), timed(10000, 100, 10, 50),
			map[string]string{"p50": Chance, "p99": Chance, "mean": Chance, "failed": Chance, "rate": Chance, "p99.99": TooFew,
				"max": Unjudged}},
		{"slower", timed(10000, 100, 10, 50), timed(10000, 500, 20, 50),
			map[string]string{"p50": Beyond, "p99": Beyond, "mean": Beyond, "failed": Beyond, "ok": Beyond}},
		{"a little, many", timed(100000, 0, 10, 50), timed(100000, 0, 13, 50),
			map[string]string{"p50": Beyond, "mean": Beyond}},
		{"a little, few", timed(100, 0, 10, 50), timed(100, 3, 11, 50),
			map[string]string{"p50": Chance, "mean": Chance, "p99": TooFew, "failed": TooFew}},
		{"slower rate", timed(60000, 0, 10, 50), timed(50000, 0, 10, 50), map[string]string{"rate": Beyond}},
		{"nothing", new(Document), timed(100, 0, 10, 50), map[string]string{"p50": TooFew, "ok": TooFew, "rate": Unjudged}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// As they are read from files.
			var docs [2]*Document
			for i, d := range []*Document{tt.a, tt.b} {
				d.Version = DocumentVersion
				var file bytes.Buffer
				if err := d.WriteJSON(&file); err != nil {
					t.Fatal(err)
				}
				var err error
				if docs[i], err = ReadDocument(&file); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Compare("a.json", docs[0], "b.json", docs[1])
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, r := range c.Rows {
				got[r.Name] = r.Verdict
			}
			for name, want := range tt.want {
				if got[name] != want {
					t.Errorf("%s: %q, want %q", name, got[name], want)
				}
			}
			var text bytes.Buffer
			if err := c.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"a.json", "b.json", "make both again"} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("text lacks %q:\n%s", want, text.String())
				}
			}
		})
	}
}

// TestCompareDue: tasks are due at moments of a rate, so without one none is late.
func TestCompareDue(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rateOf [2]float64
		want   bool
	}{{"no rate", [2]float64{}, false}, {"a rate", [2]float64{100, 100}, true}, {"one with a rate", [2]float64{0, 100}, true}} {
		var docs [2]*Document
		for i := range docs {
			docs[i] = timed(100, 0, 10, 50)
			docs[i].Due, docs[i].Rate.Late, docs[i].Rate.Asked = docs[i].Service, 50, tt.rateOf[i]
		}
		c, err := Compare("a", docs[0], "b", docs[1])
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, r := range c.Rows {
			got[r.Name] = true
		}
		if got["late"] != tt.want || got["due.p99"] != tt.want || !got["p99"] {
			t.Errorf("%s: late is %v and due.p99 %v; want %v", tt.name, got["late"], got["due.p99"], tt.want)
		}
	}
}

func TestCompareNotes(t *testing.T) {
	a, b := timed(1000, 0, 10, 5), timed(1000, 100, 10, 5)
	a.Rate.Asked = 500
	c, err := Compare("a", a, "b", b)
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(c.Notes, "\n")
	for _, want := range []string{"Different rates were asked for (500/s and none)", "shares of failed results differ"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes = %s; want %q", notes, want)
		}
	}
}

func TestReadDocumentRefuses(t *testing.T) {
	for _, text := range []string{"", "x", "{}", `{"glassq_summary":2}`, `[1]`, `{"glassq_summary":1,"ok":-1}`} {
		if _, err := ReadDocument(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "--summary-out") {
			t.Errorf("ReadDocument(%q) = %v; want an error that says how to make one", text, err)
		}
	}
	a := timed(1000, 0, 10, 5)
	a.Service.Histogram = "AAAA"
	if _, err := Compare("a", a, "b", timed(1000, 0, 10, 5)); err == nil {
		t.Error("Compare with a broken histogram: no error")
	}
}
