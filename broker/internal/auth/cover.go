package auth

import "strings"

// next returns the first level of s and what follows it; more is false after
// the last level.
func next(s string) (level, rest string, more bool) { return strings.Cut(s, "/") }

// hidden reports whether a filter that starts with level cannot match a topic
// that starts with other: a leading wildcard leaves $-topics out
// [MQTT-4.7.2-1].
func hidden(level, other string) bool {
	return (level == "+" || level == "#") && strings.HasPrefix(other, "$")
}

// covers reports whether the Topic Filter p matches every topic that f can
// match. Both must be valid and not shared.
func covers(p, f string) bool {
	if f == "#" && p == "+/#" {
		return true // each topic has a first level
	}
	for first := true; ; first = false {
		pl, prest, pmore := next(p)
		fl, frest, fmore := next(f)
		if first && hidden(pl, fl) {
			return false
		}
		switch {
		case pl == "#":
			return true
		case fl == "#", pl != "+" && pl != fl:
			return false
		case !fmore:
			// "a/#" covers its parent "a" too, section 4.7.1.2.
			return !pmore || prest == "#"
		case !pmore:
			return false
		}
		p, f = prest, frest
	}
}

// overlaps reports whether a topic exists that both p and f match. Both must
// be valid and not shared.
func overlaps(p, f string) bool {
	for first := true; ; first = false {
		pl, prest, pmore := next(p)
		fl, frest, fmore := next(f)
		if first && (hidden(pl, fl) || hidden(fl, pl)) {
			return false
		}
		switch {
		case pl == "#" || fl == "#":
			return true
		case pl != "+" && fl != "+" && pl != fl:
			return false
		case !pmore && !fmore:
			return true
		case !pmore:
			return frest == "#"
		case !fmore:
			return prest == "#"
		}
		p, f = prest, frest
	}
}
