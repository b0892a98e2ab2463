package pickle

import (
	"strings"
	"testing"
)

// decoded makes a value of a few instructions in protocol 2.
func decoded(t *testing.T, in string) *Value {
	t.Helper()
	v, _, err := new(Decoder).Decode([]byte("\x80\x02" + in + "."))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLibrary: what of the standard library is a value, and what it is in JSON and back.
func TestLibrary(t *testing.T) {
	tests := []struct {
		name, in string
		json     string // empty: it is no plain data
		back     string // what the JSON is to Python 3; empty: a dict
	}{
		{"deque", "ccollections\ndeque\n)R(K\x01K\x02e", `{"$py":"deque","items":[1,2]}`,
			"ccollections\ndeque\n)R(K\x01K\x02e"},
		{"deque with a bound", "ccollections\ndeque\n)K\x03\x86RK\x01a", `{"$py":"deque","items":[1]}`,
			"ccollections\ndeque\n)RK\x01a"},
		{"deque of Python 2", "ccollections\ndeque\n]K\x01aK\x03\x86R", `{"$py":"deque","items":[1]}`,
			"ccollections\ndeque\n)RK\x01a"},
		{"deque of a class", "ccollections\ndeque\n)Rcposix\nsystem\na", "", ""},
		{"Counter", "ccollections\nCounter\n}U\x01aK\x02s\x85R", `{"a":2}`, ""},
		{"Counter of a deque", "ccollections\nCounter\nccollections\ndeque\n)R\x85R", "", ""},
		{"Fraction", "cfractions\nFraction\nK\x01K\x03\x86R", `{"$py":"Fraction","v":"1/3"}`,
			"cfractions\nFraction\nX\x03\x00\x00\x001/3\x85R"},
		{"Fraction of Python 2", "cfractions\nFraction\nU\x04-1/3\x85R", `{"$py":"Fraction","v":"-1/3"}`,
			"cfractions\nFraction\nX\x04\x00\x00\x00-1/3\x85R"},
		{"Fraction that would be long", "cfractions\nFraction\nU\x071e99999\x85R", "", ""},
		{"Fraction that Python cannot read", "cfractions\nFraction\nU\x041/-3\x85R", "", ""},
		{"Fraction over nothing", "cfractions\nFraction\nK\x01K\x00\x86R", "", ""},
		{"Path by parts", "cpathlib\nPosixPath\nU\x01/U\x01aU\x01b\x87R", `{"$py":"Path","v":"/a/b"}`,
			"cpathlib\nPath\nX\x04\x00\x00\x00/a/b\x85R"},
		{"Path of 3.13", "cpathlib._local\nPureWindowsPath\nU\x03c:/\x85R", `{"$py":"PurePath","v":"c:/"}`,
			"cpathlib\nPurePath\nX\x03\x00\x00\x00c:/\x85R"},
		{"Path of a number", "cpathlib\nPath\nK\x01\x85R", "", ""},
		{"complex", "cbuiltins\ncomplex\nG\x00\x00\x00\x00\x00\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x86R",
			`{"$py":"complex","items":[0.0,1.0]}`, "cbuiltins\ncomplex\nG\x00\x00\x00\x00\x00\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x86R"},
		{"ValueError", "cexceptions\nValueError\nU\x01aK\x02\x86R",
			`{"$py":"exception","class":"ValueError","items":["a",2]}`,
			"cbuiltins\nValueError\nX\x01\x00\x00\x00aK\x02\x86R"},
		{"queue.Empty", "c_queue\nEmpty\n)R", `{"$py":"exception","class":"queue.Empty","items":[]}`, "cqueue\nEmpty\n)R"},
		{"an exception with members", "csubprocess\nCalledProcessError\nK\x01U\x01x\x86R}U\x03cmdU\x01xsb",
			`{"$py":"exception","class":"subprocess.CalledProcessError","items":[1,"x"]}`,
			"csubprocess\nCalledProcessError\nK\x01X\x01\x00\x00\x00x\x86R"},
		{"an exception with a member of Python's own", "cbuiltins\nValueError\n)R}U\x09__class__K\x01sb", "", ""},
		{"an exception of a class", "cbuiltins\nValueError\ncposix\nsystem\n\x85R", "", ""},
		{"what is no exception", "cbuiltins\neval\nU\x011\x85R", "", ""},
		{"namedtuple", "c__main__\nP\nK\x01K\x02\x86\x81", `{"$py":"object","class":"__main__.P","items":[1,2]}`, ""},
		{"namedtuple of another module", "cshop\nP\nK\x01K\x02\x86\x81", "", ""},
		{"an object without arguments", "c__main__\nP\n)\x81", "", ""},
		{"an object with members", "c__main__\nP\nK\x01\x85\x81}U\x01aK\x01sb", "", ""},
		{"what lies within a class", "c__main__\nos.system\nU\x01x\x85\x81", "", ""},
		{"Enum", "c__main__\nColor\nK\x01\x85R", `{"$py":"object","class":"__main__.Color","items":[1]}`, ""},
		{"a call with two values", "c__main__\nf\nK\x01K\x01\x86R", "", ""},
		{"a call with a list", "c__main__\nrun\n]K\x01a\x85R", "", ""},
		{"a call of what another module has", "cos\nsystem\nU\x01x\x85R", "", ""},
		{"a set of a deque", "c__builtin__\nset\n]ccollections\ndeque\n)Ra\x85R", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decoded(t, tt.in)
			r, err := Check(v, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if (r.Foreign == "") != (tt.json != "") {
				t.Fatalf("foreign %q; want JSON %s", r.Foreign, tt.json)
			}
			if tt.json == "" {
				return
			}
			if r.Exact {
				t.Error("exact: its original would be lost")
			}
			text, err := AppendJSON(nil, v, false, 1000)
			if err != nil || string(text) != tt.json {
				t.Fatalf("JSON %s, %v; want %s", text, err, tt.json)
			}
			back, ok := ParseJSON(text, Limits{})
			if !ok {
				t.Fatal("its JSON does not read")
			}
			if r, err := Check(back, Limits{}); err != nil || r.Foreign != "" {
				t.Fatalf("its JSON is not plain: %q, %v", r.Foreign, err)
			}
			got, err := Append(nil, back, Python3)
			if tt.back == "" {
				if back.Kind != Dict {
					t.Errorf("back as %q; want a dict", got)
				}
			} else if err != nil || string(got) != tt.back {
				t.Errorf("back as %q, %v; want %q", got, err, tt.back)
			}
		})
	}
}

// TestMember: a getter is never made to call what a name of its main program stands for.
func TestMember(t *testing.T) {
	v := decoded(t, "(c__main__\nColor\nK\x01\x85Rc__main__\nP\nK\x02\x85\x81t")
	r, err := Check(v, Limits{})
	if err != nil || len(r.Members) != 1 {
		t.Fatalf("%+v, %v; want one member", r, err)
	}
	for _, m := range r.Members {
		Member(m)
	}
	if got, err := Append(nil, v, Python3); err != nil || strings.ContainsRune(string(got), 'R') {
		t.Errorf("%q, %v; want no call", got, err)
	}
}
