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
	for _, c := range Commands {
		var needs []string
		for _, v := range c.Verbs {
			if s := Rules[v].Needs.String(); !slices.Contains(needs, s) {
				needs = append(needs, s)
			}
		}
		fmt.Fprintf(&b, "| `glassq %s` | %s |\n", c.Name, strings.Join(needs, "; "))
	}
	return b.String()
}

func quoted(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "` `") + "`"
}
