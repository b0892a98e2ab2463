package dashboard

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

// How figures are shown.
var funcs = template.FuncMap{
	"num":   num,
	"rate":  rate,
	"bytes": size,
	"secs":  seconds,
	"since": func(t time.Time) string { return seconds(max(0, time.Since(t).Round(time.Millisecond))) },
	"stamp": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"plain": func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) },
	"list":  func(v ...any) []any { return v },
}

func num(n any) string {
	switch n := n.(type) {
	case int:
		return signed(int64(n))
	case int64:
		return signed(n)
	case uint64:
		return plain.Comma(n)
	case uint32:
		return plain.Comma(uint64(n))
	}
	return fmt.Sprint(n)
}

func signed(n int64) string {
	if n < 0 {
		return "-" + plain.Comma(uint64(-n))
	}
	return plain.Comma(uint64(n))
}

// rate is a number a second, with a digit behind the point where it is small.
func rate(n float64) string {
	if n >= 10 || n == 0 {
		return plain.Comma(uint64(n + 0.5))
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func size(n any) string {
	v, _ := strconv.ParseFloat(fmt.Sprint(n), 64)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 || unit == "TiB" {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", v)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1024
	}
	return ""
}

// seconds is a duration in the largest unit that suits: 0 is a dash, for nothing was measured.
func seconds(n any) string {
	var d time.Duration
	switch n := n.(type) {
	case time.Duration:
		d = n
	case float32:
		d = time.Duration(float64(n) * float64(time.Second))
	case float64:
		d = time.Duration(n * float64(time.Second))
	}
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 3, 64) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + " s"
	}
	text := d.Round(time.Second).String()
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
	}
	return strings.NewReplacer("h", " h ", "m", " min ", "s", " s").Replace(text)
}
