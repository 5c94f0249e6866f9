package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A mended file keeps its columns: a character that YAML takes for syntax is
// replaced by one of Unicode's private ones, and turned back in the tree.
const mask = 0xE000

func unmask(s string) string {
	return strings.Map(func(r rune) rune {
		if r > mask && r < mask+0x80 {
			return r - mask
		}
		return r
	}, s)
}

// unreadable finds what would make parsing pointless or dangerous.
func (s *source) unreadable() (Error, bool) {
	size, open := 0, 0
	for i, l := range s.lines {
		size += len(l) + 1
		e := s.at(i+1, 1, 1)
		if !utf8.ValidString(l) {
			e.Msg, e.Hint = "the file is not UTF-8 text", "save it as UTF-8"
			return e, true
		}
		if j := strings.IndexByte(l, 0); j >= 0 {
			e.Msg = "the file holds a NUL character"
			return e, true
		}
		open += strings.Count(l, "[") + strings.Count(l, "{") - strings.Count(l, "]") - strings.Count(l, "}")
		dashes := strings.Count(l, "- ") + strings.Count(l, "? ") + strings.Count(l, "-\t")
		if size > maxFile || open > 2*maxDepth || dashes > 4*maxDepth || strings.Count(l, "[")+strings.Count(l, "{") > 40*maxDepth {
			e.Msg = "the file is too large or nested too deeply"
			return e, true
		}
	}
	return Error{}, false
}

// explain turns what the parser said into what the reader most likely did,
// and returns the text mended so that the rest can be checked, "" when it
// cannot be.
func explain(src *source, text string, err *syntaxError) (Error, string) {
	lines := strings.Split(text, "\n")
	e := src.at(err.line, err.col, 1)
	line := []rune(lines[e.Line-1])
	src.hideSecrets(e.Line)
	if i := tabAt(src.lines[e.Line-1]); i >= 0 {
		e = src.at(e.Line, i+1, 1)
		e.Msg, e.Hint = "a tab is used for indentation", "YAML allows only spaces; use two spaces for each level"
		return e, ""
	}
	if col, at := maskComment(lines, e.Line, err.msg); col > 0 {
		return mend(src, lines, at, col, "empty value: '#' starts a comment here", "quote the topic filter: \"#\"")
	}
	if i := strings.Index(string(line), "${"); i >= 0 && strings.Contains(err.msg, "must be specified") {
		return explainEnv(src, lines, e.Line, i)
	}
	for _, c := range []int{e.Column, e.Column - 1} {
		if c < 1 || c > len(line) || !strings.ContainsRune("*%@`&!|>", line[c-1]) {
			continue
		}
		value := plainValue(string(line[c-1:]))
		first := line[c-1]
		line[c-1] = mask + first
		lines[e.Line-1] = string(line)
		e, mended := mend(src, lines, e.Line, c, fmt.Sprintf("%q cannot start an unquoted value in YAML", string(first)), fmt.Sprintf("put the value in quotes: \"%s\"", value))
		e.Length = utf8.RuneCountInString(value)
		return e, mended
	}
	e.Msg = "YAML: " + err.msg
	switch {
	case strings.Contains(err.msg, "end character of"):
		e.Msg = "YAML: the quote opened here is never closed"
	case strings.Contains(err.msg, "end token"):
		e.Msg = "YAML: the bracket opened here is never closed"
	case strings.Contains(err.msg, "not allowed"), strings.Contains(err.msg, "unexpected key"), strings.Contains(err.msg, "non-map"):
		e.Msg = "YAML: this line does not fit the lines around it"
		e.Hint = "check the indentation of this line and the next, and the space after each colon; quote a value that holds ': '"
	}
	return e, ""
}

func mend(src *source, lines []string, line, col int, msg, hint string) (Error, string) {
	e := src.at(line, col, 1)
	e.Msg, e.Hint = msg, hint
	return e, strings.Join(lines, "\n")
}

func explainEnv(src *source, lines []string, line, at int) (Error, string) {
	text := lines[line-1]
	col := utf8.RuneCountInString(text[:at]) + 1
	name, rest, closed := strings.Cut(text[at+2:], "}")
	hint := "put the value in quotes: \"${" + name + "}\""
	if !closed {
		e, _ := mend(src, lines, line, col, "'${' is never closed", "")
		return e, ""
	}
	swap := strings.NewReplacer("{", string(rune(mask+'{')), ":", string(rune(mask+':')))
	lines[line-1] = text[:at] + "$" + swap.Replace("{"+name) + string(rune(mask+'}')) + rest
	e, mended := mend(src, lines, line, col, "'${...}' inside brackets must be quoted", hint)
	e.Length = utf8.RuneCountInString(name) + 3
	return e, mended
}

// tabAt returns the index of a tab in a line's indentation, or -1.
func tabAt(line string) int {
	rest := strings.TrimLeft(line, " -")
	if strings.HasPrefix(rest, "\t") {
		return len(line) - len(rest)
	}
	return -1
}

// hidden is a # that should be a value: nothing but the end of a value follows
// it, as no comment would have it.
var hidden = regexp.MustCompile(`[:,\[{]\s*(#)\s*(?:[\]},].*)?$`)

// maskComment finds the # that swallowed a closing bracket, near the line of
// the error, and masks it. It returns its column and line, 0 for none.
func maskComment(lines []string, line int, msg string) (col, at int) {
	if !strings.Contains(msg, "end token") && !strings.Contains(msg, "must be specified") {
		return 0, 0
	}
	for i := max(0, line-20); i < min(line+20, len(lines)); i++ {
		if m := hidden.FindStringSubmatchIndex(lines[i]); m != nil {
			col = utf8.RuneCountInString(lines[i][:m[2]]) + 1
			lines[i] = lines[i][:m[2]] + string(rune(mask+'#')) + lines[i][m[3]:]
			return col, i + 1
		}
	}
	return 0, 0
}

// plainValue cuts an unquoted value where it most likely ends.
func plainValue(s string) string {
	if i := strings.Index(s, " #"); i >= 0 {
		s = s[:i]
	}
	if i := strings.IndexAny(s, ",]}"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// secretKeys are the names of keys whose values are secrets, wherever they
// stand: a file that cannot be parsed has no paths.
var secretKeys = regexp.MustCompile(`(?i)(?:password|token|secret|sas|passphrase)["']?\s*:\s*(\S.*)`)

// hideSecrets stars out what may be a secret in a line that is shown before
// the file is understood.
func (s *source) hideSecrets(line int) {
	text := s.lines[line-1]
	if m := secretKeys.FindStringSubmatchIndex(text); m != nil {
		s.secrets = append(s.secrets, span{line, utf8.RuneCountInString(text[:m[2]]) + 1, utf8.RuneCountInString(text[m[2]:m[3]])})
	}
}
