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

// secretKeys are the names of keys whose values are secrets, wherever they
// stand: a file that cannot be parsed has no paths.
var secretKeys = [...]string{"password", "token", "secret", "sas", "passphrase"}

// secretIn is where the value of the first such key of a line begins, -1 for
// none.
func secretIn(line string) int {
	first, value := len(line), -1
	for _, key := range secretKeys {
		for i := 0; i < first && i+len(key) < len(line); i++ {
			if !strings.EqualFold(line[i:i+len(key)], key) {
				continue
			}
			after := strings.TrimPrefix(strings.TrimPrefix(line[i+len(key):], `"`), "'")
			after, isKey := strings.CutPrefix(strings.TrimLeft(after, " \t\r"), ":")
			if after = strings.TrimLeft(after, " \t\r"); isKey && after != "" {
				first, value = i, len(line)-len(after)
				break
			}
		}
	}
	return value
}

// looksSecret says that the value of a key is meant to be a secret, also if the
// key is misspelled, or not where it belongs.
func looksSecret(key string) bool {
	key = strings.ToLower(key)
	for _, part := range [...]string{"pass", "tok", "secret", "sas"} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
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
