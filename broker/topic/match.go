package topic

import "strings"

// Match reports whether the valid Topic Name name matches the valid Topic
// Filter filter, which must not be a shared one (see Share). A leading
// wildcard does not match a name that starts with $ [MQTT-4.7.2-1].
func Match(filter, name string) bool {
	if filter == "" || name == "" {
		return false
	}
	if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	f, n := 0, 0
	for {
		flevel, fnext := level(filter, f)
		if flevel == "#" {
			return true
		}
		nlevel, nnext := level(name, n)
		if flevel != "+" && flevel != nlevel {
			return false
		}
		switch {
		case fnext < 0:
			return nnext < 0
		case nnext < 0:
			// "a/#" also matches its parent "a", section 4.7.1.2.
			return filter[fnext:] == "#"
		}
		f, n = fnext, nnext
	}
}

// Overlap reports whether a topic may match both filters.
func Overlap(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch {
		case i < len(x) && x[i] == "#", i < len(y) && y[i] == "#":
			return true
		case i == len(x) || i == len(y):
			// "a/#" also matches its parent "a", section 4.7.1.2.
			return len(x) == len(y)
		case x[i] != y[i] && x[i] != "+" && y[i] != "+":
			return false
		}
	}
}

// Covers reports whether every topic that narrow matches is matched by wide.
func Covers(wide, narrow string) bool {
	w, n := strings.Split(wide, "/"), strings.Split(narrow, "/")
	if (w[0] == "#" || w[0] == "+") && strings.HasPrefix(n[0], "$") {
		return false // [MQTT-4.7.2-1]
	}
	for i, l := range w {
		if l == "#" {
			return true
		}
		if i >= len(n) || n[i] == "#" || l != "+" && l != n[i] {
			return false
		}
	}
	return len(w) == len(n)
}

// level returns the topic level of s that starts at pos and where the next
// one starts, -1 after the last.
func level(s string, pos int) (level string, next int) {
	if i := strings.IndexByte(s[pos:], '/'); i >= 0 {
		return s[pos : pos+i], pos + i + 1
	}
	return s[pos:], -1
}

// before returns where the level in front of the one at pos starts; pos must
// not be the first level.
func before(s string, pos int) int {
	return strings.LastIndexByte(s[:pos-1], '/') + 1
}
