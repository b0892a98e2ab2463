package rights

import (
	"fmt"
	"slices"
	"strings"
)

// ofTexts says in words on what a verb needs its scope.
var ofTexts = [...]string{"", "the queue", "the run", "what is listed; the rest is left out", "every queue (`*`)"}

// rulesTable is the table of rules.go as Markdown.
func rulesTable() string {
	var b strings.Builder
	b.WriteString("| what | scope | on | HTTP | memcached | Python | audited as |\n|---|---|---|---|---|---|---|\n")
	for v := range Rules {
		r := &Rules[v]
		needs := "everybody"
		if r.Needs != 0 {
			needs = r.Needs.String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Does, needs, ofTexts[r.Of], quoted(r.HTTP),
			quoted(r.Memcached), quoted(r.Manager), r.Audit)
	}
	b.WriteString("\n| command | scopes |\n|---|---|\n")
	for _, c := range commands {
		var needs []string
		for _, v := range c.verbs {
			if s := Rules[v].Needs.String(); !slices.Contains(needs, s) {
				needs = append(needs, s)
			}
		}
		fmt.Fprintf(&b, "| `glassq %s` | %s |\n", c.name, strings.Join(needs, "; "))
	}
	return b.String()
}

func quoted(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "` `") + "`"
}

// commands are those of the program that speak to a server, with what each needs of it.
var commands = []struct {
	name  string
	verbs []Verb
}{
	{"dispatch", []Verb{VerbPut, VerbPutRun, VerbResult, VerbSetRun, VerbRun}},
	{"work http", []Verb{VerbReserve, VerbAck, VerbNack, VerbExtend, VerbRun}},
	{"work exec", []Verb{VerbReserve, VerbAck, VerbNack, VerbExtend, VerbRun}},
	{"work pipe", []Verb{VerbReserve, VerbAck, VerbNack, VerbExtend, VerbRun}},
	{"output", []Verb{VerbReserve, VerbAck, VerbNack, VerbExtend, VerbRun, VerbRuns, VerbReadRun}},
	{"put", []Verb{VerbPut, VerbPutRun, VerbResult}},
	{"get", []Verb{VerbReserve}},
	{"top", []Verb{VerbQueues, VerbStats}},
	{"doctor", []Verb{VerbQueues, VerbStats}},
	{"backup", []Verb{VerbBackup}},
	{"reload", []Verb{VerbReload}},
	{"queue ls", []Verb{VerbQueues}},
	{"queue show", []Verb{VerbQueue}},
	{"queue set", []Verb{VerbConfigure}},
	{"queue pause", []Verb{VerbConfigure}},
	{"queue resume", []Verb{VerbConfigure}},
	{"queue peek", []Verb{VerbPeek}},
	{"queue purge", []Verb{VerbPurge}},
	{"queue redrive", []Verb{VerbRedrive}},
	{"queue rm", []Verb{VerbDrop}},
	{"queue export", []Verb{VerbPeek}},
	{"queue import", []Verb{VerbImport}},
	{"keys", []Verb{VerbKeys, VerbReleaseKey}},
	{"runs ls", []Verb{VerbRuns}},
	{"runs show", []Verb{VerbRun}},
	{"runs wait", []Verb{VerbRun}},
	{"runs cancel", []Verb{VerbCancelRun}},
	{"runs rm", []Verb{VerbRun, VerbDropRun}},
	{"runs seal", []Verb{VerbSetRun, VerbRun}},
	{"runs retry", []Verb{VerbRun, VerbPeek, VerbPut, VerbPutRun, VerbSetRun}},
	{"schedule ls", []Verb{VerbSchedules}},
	{"schedule set", []Verb{VerbSetSchedule}},
	{"schedule pause", []Verb{VerbSetSchedule}},
	{"schedule resume", []Verb{VerbSetSchedule}},
	{"schedule rm", []Verb{VerbDropSchedule}},
	{"explain", []Verb{VerbQueue, VerbRun, VerbPeek, VerbRunTask}},
	{"token whoami", []Verb{VerbWhoami}},
	{"tunnel", nil},
}
