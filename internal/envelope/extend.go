package envelope

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// AppendExtend appends an extend as one line of JSON: token, lease unless it is 0, and where it has a
// Seq: seq, progress, note, checkpoint (a string, or checkpoint_b64 for what is not text) and put, as
// far as they are said.
func AppendExtend(dst []byte, e *glassq.Extend) []byte {
	dst = appendString(append(dst, '{'), "token", e.Token.String())
	if e.Lease != 0 {
		dst = appendAsked(dst, "lease", e.Lease)
	}
	if e.Seq != 0 {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "seq"), e.Seq, 10)
	}
	if p := e.Progress; p != nil {
		if p.Done >= 0 {
			dst = strconv.AppendFloat(jsonline.AppendKey(dst, "progress"), p.Done, 'f', -1, 64)
		}
		if p.Note != "" {
			dst = appendString(dst, "note", p.Note)
		}
		switch {
		case p.Checkpoint == nil:
		case utf8.Valid(p.Checkpoint):
			dst = appendString(dst, "checkpoint", p.Checkpoint)
		default:
			dst = jsonline.AppendBase64(jsonline.AppendKey(dst, "checkpoint_b64"), p.Checkpoint)
		}
	}
	return append(appendPuts(dst, e.Put), '}')
}

// ParseExtend reads an extend. Without a lease, Lease is 0: the length it was granted with. Unknown
// members are refused, and so are members that come twice. What is said may alias text. The error is
// like ParseTask's.
func ParseExtend(text []byte, e *glassq.Extend) error {
	return parseExtend(text, e, "an extend", extendMembers)
}

// ParseSaying reads what a child process says of its task: an extend without token, lease and seq,
// which are its worker's business. One that says nothing is refused.
func ParseSaying(text []byte, e *glassq.Extend) error {
	err := parseExtend(text, e, "a line of progress", extendMembers[ofLease:])
	if err == nil && e.Progress == nil && len(e.Put) == 0 {
		err = glassq.Errorf(glassq.CodeBadRequest, "a line of progress says progress, note, checkpoint or put, at byte 0")
	}
	return err
}

var extendMembers = []string{"token", "lease", "seq", "progress", "note", "checkpoint", "checkpoint_b64", "put"}

const ofLease = 3 // the first ones are the business of whoever has the lease

func parseExtend(text []byte, e *glassq.Extend, what string, members []string) error {
	*e = glassq.Extend{}
	whole := len(members) == len(extendMembers)
	c := jsonline.ReadText(text)
	p := glassq.Progress{Done: -1}
	var seen once
	for c.Open('{', what); c.More(); {
		key := string(seen.key(&c))
		if key == "put" && c.At('[') {
			readPuts(&c, text, &e.Put, what)
			continue
		}
		if c.Value(); c.Null() && slices.Contains(members, key) {
			continue
		}
		switch {
		case !whole:
		case key == "token":
			e.Token = readToken(&c)
			continue
		case key == "lease":
			e.Lease = c.Duration("lease")
			continue
		case key == "seq":
			if e.Seq = c.Integer("seq", math.MaxInt64); e.Seq == 0 {
				c.Fail(c.From, "seq counts from 1")
			}
			continue
		}
		switch key {
		case "progress":
			done, err := strconv.ParseFloat(string(text[c.From:c.To]), 64)
			if p.Done = done; err != nil || !(done >= 0 && done <= 1) {
				c.Fail(c.From, "progress is a number from 0 to 1, the share of the work that is done")
			}
		case "note":
			p.Note = string(c.Text("note"))
		case "checkpoint", "checkpoint_b64":
			if p.Checkpoint != nil {
				c.Fail(c.From, "%s has either checkpoint or checkpoint_b64, not both", what)
			}
			if key == "checkpoint" {
				p.Checkpoint = c.Text("checkpoint")
			} else {
				p.Checkpoint = c.Base64("checkpoint_b64")
			}
			if p.Checkpoint == nil {
				p.Checkpoint = []byte{}
			}
		case "put":
			c.Fail(c.From, "put must begin with [")
		default:
			c.Fail(c.From, "%s has no member %.40q, only %s", what, key, strings.Join(members, ", "))
		}
	}
	if c.Err() == nil && whole && e.Token.Number == 0 {
		c.Fail(0, needToken)
	}
	if p.Done >= 0 || p.Note != "" || p.Checkpoint != nil {
		e.Progress = &p
	}
	if c.Err() == nil && whole && e.Seq == 0 && (e.Progress != nil || len(e.Put) > 0) {
		c.Fail(0, "an extend that says something needs seq: 1 for the first of its lease, then one more each time")
	}
	return c.Err()
}

// A said is a glassq.Progress as JSON, in the words of an extend. Where the checkpoint is left out, bytes
// tells how long it is.
type said struct {
	Progress      *float64 `json:"progress,omitzero"`
	Note          string   `json:"note,omitzero"`
	Checkpoint    *string  `json:"checkpoint,omitzero"`
	CheckpointB64 []byte   `json:"checkpoint_b64,omitzero"`
	Bytes         int      `json:"checkpoint_bytes,omitzero"`
}

func saidOf(p *glassq.Progress) *said {
	if p == nil {
		return nil
	}
	s := &said{Note: p.Note}
	if p.Done >= 0 {
		s.Progress = &p.Done
	}
	switch {
	case len(p.Checkpoint) == 0:
		s.Bytes = p.Size
	case utf8.Valid(p.Checkpoint):
		text := string(p.Checkpoint)
		s.Checkpoint = &text
	default:
		s.CheckpointB64 = p.Checkpoint
	}
	return s
}

func (s *said) progress() *glassq.Progress {
	if s == nil {
		return nil
	}
	p := &glassq.Progress{Done: -1, Note: s.Note, Checkpoint: s.CheckpointB64, Size: s.Bytes}
	if s.Progress != nil {
		p.Done = *s.Progress
	}
	if s.Checkpoint != nil {
		p.Checkpoint = []byte(*s.Checkpoint)
	}
	if len(p.Checkpoint) > 0 {
		p.Size = len(p.Checkpoint)
	}
	return p
}

// appendSaid appends what was said of a task, if anything was.
func appendSaid(dst []byte, p *glassq.Progress) []byte {
	if p == nil {
		return dst
	}
	return appendRecord(jsonline.AppendKey(dst, "said"), saidOf(p))
}

// readSaid reads what appendSaid prints, and passes over members that it does not know.
func readSaid(c *jsonline.Cursor, text []byte) *glassq.Progress {
	var s said
	if err := json.Unmarshal(text, &s); err != nil {
		c.Fail(c.From, "said: %v", badRecord(err))
	}
	return s.progress()
}
