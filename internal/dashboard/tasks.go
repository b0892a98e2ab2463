package dashboard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/explain"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/rights"
)

const (
	perTasks  = 50       // tasks on a page
	maxScan   = 5        // pages of the store that are looked through for a reason
	scanPage  = 1000     // tasks of one
	maxShown  = 64 << 10 // bytes of a body that are shown
	maxHex    = 4 << 10  // likewise of one that is no text
	shortBody = 120      // in a list
)

// A shown task is one in a list.
type shown struct {
	glassq.Peeked
	Short string // the beginning of its body
}

type tasksPage struct {
	Queue  string
	State  string
	States []string
	Tasks  []shown
	Next   uint64
	May    bool
	Looked int // tasks that were looked through for Reason and Of
	Reason string
	Of     string // a run
	Change *progress
}

// tasks lists those of a queue in one state.
func (v *visit) tasks() error {
	p := tasksPage{Queue: v.r.PathValue("queue"), State: v.Query("state"),
		States: []string{"ready", "delayed", "leased", "dead"}, Reason: v.Query("reason"), Of: v.Query("run")}
	if p.State == "" {
		p.State = "ready"
	}
	p.May, p.Change = v.may(rights.VerbRedrive, p.Queue), v.changes.of(p.Queue)
	state, err := glassq.ParseState(p.State)
	if err != nil {
		return err
	}
	if p.Next, err = v.number("from", v.Query("from")); err != nil {
		return err
	}
	for range maxScan {
		most := perTasks
		if p.Some() {
			most = scanPage
		}
		list, next, err := v.store().Peek(v.ctx(), p.Queue, state, p.Next, most)
		if err != nil {
			return err
		}
		p.Next, p.Looked = next, p.Looked+len(list)
		for i := range list {
			if !strings.Contains(list[i].Reason, p.Reason) || p.Of != "" && list[i].Run != p.Of {
				continue
			}
			if len(p.Tasks) == perTasks {
				p.Next, p.Looked = list[i].Number, p.Looked-len(list)+i
				break
			}
			p.Tasks = append(p.Tasks, shown{list[i], short(list[i].Body, list[i].Type)})
		}
		if p.Next == 0 || len(p.Tasks) == perTasks || !p.Some() {
			break
		}
	}
	return v.render(200, "tasks", p.Queue+": "+v.T(p.State), p)
}

// Some tells whether only some tasks of the state are asked for.
func (p tasksPage) Some() bool { return p.Reason != "" || p.Of != "" }

// Acts tells whether the tasks can be redriven and deleted here.
func (p tasksPage) Acts() bool { return p.May && p.State == "dead" && len(p.Tasks) > 0 }

// number reads a number of the query, 0 for none.
func (v *visit) number(name, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, glassq.Errorf(glassq.CodeBadRequest, "%s %.40q is not a number", name, text)
	}
	return n, nil
}

type deadPage struct {
	Rows  []row
	Pages pages
	Total int64
}

// dead lists the queues with dead tasks, by reason.
func (v *visit) dead() error {
	l, at, err := v.list(glassq.QueueQuery{Name: v.Query("name"), Has: glassq.HasDead})
	if err != nil {
		return err
	}
	p := deadPage{Pages: at, Total: l.Totals.Dead}
	for _, q := range l.Queues {
		p.Rows = append(p.Rows, row{QueueInfo: q})
	}
	return v.render(200, "dead", v.T("Dead"), p)
}

type taskPage struct {
	explain.Task
	Held bool // it is there, with its body
	May  bool // it is dead, and the visitor may redrive or delete it
	Body body
}

// task shows one task by its id, and says where it is when it is not there any more.
func (v *visit) task() error {
	id := v.r.PathValue("id")
	t, err := v.opt.Explain.Task(v.ctx(), glassq.Find{Queue: v.r.PathValue("queue"), ID: id})
	if err != nil {
		return err
	}
	p, status := taskPage{Task: t, Held: t.Where == glassq.FoundHeld}, http.StatusOK
	if p.Held {
		p.Body = bodyOf(t.Body, t.Type)
		p.May = t.State == glassq.Dead && v.may(rights.VerbRedrive, t.Queue)
	} else if t.Where == glassq.FoundNever {
		status = http.StatusNotFound
	}
	return v.render(status, "task", v.T("Task")+" "+visible(id), p)
}

// A body is how one is shown: as what it is, safely, and cut where it is long.
type body struct {
	Kind string // json, text or hex
	Text string
	Size int
	Cut  int // bytes that are shown, 0 for all
}

func bodyOf(b []byte, kind string) body {
	shown := body{Size: len(b)}
	cut := func(most int) []byte {
		if len(b) > most {
			shown.Cut = most
			return b[:most]
		}
		return b
	}
	switch jsonline.FormOf(b, kind) {
	case jsonline.JSON:
		shown.Kind = "json"
		var pretty bytes.Buffer
		if len(b) <= maxShown && json.Indent(&pretty, b, "", "  ") == nil && pretty.Len() <= 4*maxShown {
			shown.Text = visible(pretty.String())
		} else {
			shown.Text = visible(string(cut(maxShown)))
		}
	case jsonline.Text:
		shown.Kind = "text"
		shown.Text = visible(string(cut(maxShown)))
	default:
		shown.Kind = "hex"
		shown.Text = hex.Dump(cut(maxHex))
	}
	return shown
}

// visible is text with the pictures of its control characters instead of them, but for line ends
// and tabs. A character that turns the direction of text, or has no width, is shown as its number.
func visible(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "�") {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune(0x2400 + r)
		case r == 0x7f:
			b.WriteRune(0x2421)
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
			b.WriteString("\\u{" + strconv.FormatInt(int64(r), 16) + "}")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func short(b []byte, kind string) string {
	cut := b[:min(len(b), shortBody)]
	more := ""
	if len(cut) < len(b) {
		more = "…"
	}
	if jsonline.FormOf(cut, glassq.TypeText) == jsonline.Octets && jsonline.FormOf(b, kind) == jsonline.Octets {
		return hex.EncodeToString(cut[:min(len(cut), shortBody/4)]) + more
	}
	return visible(string(cut)) + more
}

// DueIn is the time until a delayed or leased task moves.
func (p taskPage) DueIn() time.Duration { return p.Due.Round(time.Second) }
