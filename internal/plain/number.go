package plain

import "strconv"

// A Count is what Comma and Plural take. It is not negative.
type Count interface{ ~int | ~int64 | ~uint64 }

// Comma writes n with a comma before every three digits.
func Comma[N Count](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	out := make([]byte, 0, len(s)+len(s)/3)
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Plural is a number and what it counts, in the form that fits.
func Plural[N Count](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Comma(n) + " " + many
}
