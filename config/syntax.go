package config

import (
	"strings"
	"unicode/utf8"
)

// unreadable finds what would make parsing pointless or dangerous.
func (s *source) unreadable() (Error, bool) {
	size := 0
	for i, l := range s.lines {
		size += len(l) + 1
		e := s.at(i+1, 1, 1)
		switch {
		case !utf8.ValidString(l):
			e.Msg, e.Hint = "the file is not UTF-8 text", "save it as UTF-8"
		case strings.IndexByte(l, 0) >= 0:
			e.Msg = "the file holds a NUL character"
		case size > maxFile:
			e.Msg = "the file is larger than 1 MiB"
		default:
			continue
		}
		return e, true
	}
	return Error{}, false
}

// secretIn is where what follows the first word of a line that looks like the
// key of a secret begins, -1 for nothing: a file that cannot be parsed has no
// paths, and its mistake may be that the colon is missing.
func secretIn(line string) int {
	for from := 0; from < len(line); {
		word := line[from:]
		if n := strings.IndexFunc(word, func(r rune) bool { return strings.ContainsRune(" \t\r:={}[],\"'", r) }); n >= 0 {
			word = word[:n]
		}
		if from += len(word); looksSecret(word) {
			if after := strings.TrimLeft(line[from:], " \t\r:=\"'"); len(after) < len(line)-from && after != "" {
				return len(line) - len(after)
			}
		}
		from++
	}
	return -1
}

// looksSecret says that the value of a key is meant to be a secret, also if the
// key is misspelled, or not where it belongs.
func looksSecret(key string) bool {
	key = strings.ToLower(key)
	for _, part := range [...]string{"pass", "pasw", "pwd", "tok", "secret", "sas"} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return nearest(key, []string{"password", "passphrase", "secret", "token"}, 2) != ""
}

// keyWord is a key without a value that is glued to it, as in {user:"x"} and
// {user=x}, which for YAML are one word.
func keyWord(key string) string {
	if i := strings.IndexAny(key, ":="); i > 0 {
		return key[:i]
	}
	return key
}

// hideSecrets stars out what may be a secret in a line that is shown before
// the file is understood, and in what is said of it.
func (s *source) hideSecrets(e *Error) {
	text := s.lines[e.Line-1]
	at := secretIn(text)
	if at < 0 {
		return
	}
	before := utf8.RuneCountInString(text[:at])
	s.secrets = append(s.secrets, span{e.Line, before + 1, utf8.RuneCountInString(text[at:])})
	if e.Column <= before {
		return
	}
	rest := []rune(text)[e.Column-1:]
	if word := strings.Trim(string(rest[:min(e.Length, len(rest))]), "*&%@`'\""); word != "" {
		e.Msg, e.Hint = strings.ReplaceAll(e.Msg, word, "***"), strings.ReplaceAll(e.Hint, word, "***")
	}
}
