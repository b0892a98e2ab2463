package dashboard

import (
	"fmt"
	"net/http"
	"strings"
)

const languageCookie = "glassq-lang"

// languageOf tells whether the visitor reads Chinese: as the query lang says, which is remembered, else as the browser
// does.
func languageOf(rw http.ResponseWriter, r *http.Request) bool {
	lang := r.URL.Query().Get("lang")
	if lang == "zh" || lang == "en" {
		http.SetCookie(rw, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", HttpOnly: true,
			SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil, MaxAge: 365 * 24 * 3600})
		return lang == "zh"
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		return c.Value == "zh"
	}
	for first := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch tag := strings.ToLower(strings.TrimSpace(first)); {
		case strings.HasPrefix(tag, "zh"):
			return true
		case strings.HasPrefix(tag, "en"):
			return false
		}
	}
	return false
}

// Lang is the language of the page, for its html element.
func (v *visit) Lang() string {
	if v.chinese {
		return "zh-Hans"
	}
	return "en"
}

// T is text in the language of the visitor, with args as fmt has them. What is not in the table stays English.
func (v *visit) T(text string, args ...any) string {
	if v.chinese {
		if zh, ok := chinese[text]; ok {
			text = zh
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// chinese are the texts of the pages by their English.
var chinese = map[string]string{}
