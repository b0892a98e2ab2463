package dispatch

import (
	"strings"
	"testing"
)

// A file of results as output writes it, in both forms; the last line may be torn.
func TestReadResultIDs(t *testing.T) {
	const header = "id,run,ok,rt,lag,code,err,msg,bytes,t,worker,attempt,input\n"
	for _, tt := range []struct {
		name, in string
		want     []uint32
		err      string
	}{
		{"json", `{"id":"r/0","o":{}}` + "\n" + `{"id":"other/1"}` + "\n" + `{"id":"r/2"}` + "\n", []uint32{0, 2}, ""},
		{"json, torn", `{"id":"r/0"}` + "\n" + `{"id":"r/1`, []uint32{0}, ""},
		{"json, whole but for the end of its line", `{"id":"r/0"}` + "\n" + `{"id":"r/1"}`, []uint32{0}, ""},
		{"csv", header + "r/0,r,1,0.1,,200,,,9,1.5,w,1,\"a, \"\"b\"\"\"\nother/1,other,1\nr/12,r,0,0.1,,,exit,\"x,y\",9,1.5,w,1,c\n", []uint32{0, 12}, ""},
		{"csv, torn", header + "r/0,r,1,0.1,,200,,,9,1.5,w,1,a\nr/1", []uint32{0}, ""},
		{"csv, nothing yet", header, nil, ""},
		{"neither", "id;run\n", nil, "line 1: not a result"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ReadResultIDs(strings.NewReader(tt.in), "r")
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || p.Count() != uint64(len(tt.want)) {
				t.Fatalf("%d positions, %v; want %v", p.Count(), err, tt.want)
			}
			for _, n := range tt.want {
				if !p.has(n) {
					t.Errorf("position %d is not there", n)
				}
			}
		})
	}
}
