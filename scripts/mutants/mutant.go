package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one way to break the server.
type mutant struct {
	statement string // MQTT-4.3.3-10
	about     string
	file      string // from the root of the project
	old, new  string
	line      int    // in the list
	pkg, run  string // the tests that must find it; "": those that name the statement
}

// load reads blocks of the form
//
//	== MQTT-2.1.3-1 what is broken
//	file broker/packet/decode.go
//	- the piece of the file
//	+ what stands there instead
//
// and, for what no statement is about, which tests must find it:
//
//	test broker/internal/store/journal ^TestCrashStates$
func load(path string) (all []mutant, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n := 0
	for text := range strings.Lines(string(data)) {
		n++
		text = strings.TrimRight(text, "\n")
		word, rest, _ := strings.Cut(text, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		if word == "==" {
			statement, about, _ := strings.Cut(rest, " ")
			all = append(all, mutant{statement: statement, about: about, line: n})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s:%d: before the first mutant", path, n)
		}
		m := &all[len(all)-1]
		switch word {
		case "file":
			m.file = rest
		case "test":
			m.pkg, m.run, _ = strings.Cut(rest, " ")
		case "-":
			m.old += "\n" + rest
		case "+":
			m.new += "\n" + rest
		default:
			return nil, fmt.Errorf("%s:%d: not ==, file, test, - or +: %q", path, n, text)
		}
	}
	for i := range all {
		m := &all[i]
		m.old, m.new = strings.TrimPrefix(m.old, "\n"), strings.TrimPrefix(m.new, "\n")
		if m.file == "" || m.old == "" || m.old == m.new {
			err = errors.Join(err, fmt.Errorf("%s:%d: %s: no file, no piece, or no change", path, m.line, m.statement))
		}
	}
	return all, err
}

// apply returns the file with its piece replaced.
func (m *mutant) apply(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	return m.replace(string(data))
}

// replace returns the text of the file with its piece replaced.
func (m *mutant) replace(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("the piece occurs %d times in %s:\n%s", n, m.file, m.old)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}
