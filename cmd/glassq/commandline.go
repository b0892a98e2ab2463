package main

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/plain"
)

const maxArgument = 200 // bytes of one that is shown

// openHeaders are the request headers whose values hold no secret.
var openHeaders = []string{"accept", "accept-encoding", "accept-language", "content-type", "host", "user-agent"}

var userInfo = regexp.MustCompile(`://[^/@\s]*@`)

// commandLine is how the program was called, as a POSIX shell would take it, for a report that
// others read: values of request headers, and users with their passwords in URLs, are left out, and
// long arguments are cut.
func commandLine(args []string) string {
	words := []string{"glassq"}
	header := false // the next argument is one
	for _, arg := range args {
		flag, value, joined := strings.Cut(arg, "=")
		switch {
		case header:
			arg = hideHeader(arg)
		case joined && flag == "--header":
			arg = flag + "=" + hideHeader(value)
		case strings.HasPrefix(arg, "-H") && len(arg) > 2:
			arg = "-H" + hideHeader(arg[2:])
		}
		header = !header && (arg == "-H" || arg == "--header")
		arg = userInfo.ReplaceAllString(arg, "://…@")
		if len(arg) > maxArgument {
			arg = strings.ToValidUTF8(arg[:maxArgument], "") + "…"
		}
		words = append(words, shellWord(plain.Text([]byte(arg))))
	}
	return strings.Join(words, " ")
}

func hideHeader(h string) string {
	name, _, ok := strings.Cut(h, ":")
	if !ok || slices.Contains(openHeaders, strings.ToLower(strings.TrimSpace(name))) {
		return h
	}
	return name + ": …"
}

// shellWord quotes an argument where a shell would take it apart.
func shellWord(s string) string {
	special := func(r rune) bool {
		return r == utf8.RuneError || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:=,@%+…", r))
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
