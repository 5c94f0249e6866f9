package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// statement is one line of the data.
type statement struct {
	id    string // with the prefix tests use
	binds string // server, both or client
	title string
	why   string // of client: why it asks nothing of a server
}

// chapter is what statements are summed up by: 3.1 of MQTT-3.1.2-4, 4 of all
// in chapter 4.
func (s statement) chapter() string {
	_, number, _ := strings.Cut(s.id, "-")
	parts := strings.Split(strings.Split(number, "-")[0], ".")
	if parts[0] == "3" && len(parts) > 1 {
		return "3." + parts[1]
	}
	return parts[0]
}

var form = regexp.MustCompile(`^([0-9A][0-9.]*-[0-9]+) (server|both|client) (.+)$`)

// load reads the statements of all standards, by their prefix.
func load(root string) (map[string][]statement, error) {
	all := make(map[string][]statement)
	seen := make(map[string]bool)
	for _, standard := range standards {
		path := filepath.Join(root, "scripts", "spec", standard.file)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		n := 0
		for text := range strings.Lines(string(data)) {
			n++
			text = strings.TrimSpace(text)
			if text == "" || text[0] == '#' {
				continue
			}
			m := form.FindStringSubmatch(text)
			if m == nil {
				return nil, fmt.Errorf("%s:%d: not \"number server|both|client title\": %q", path, n, text)
			}
			s := statement{id: standard.prefix + m[1], binds: m[2]}
			s.title, s.why, _ = strings.Cut(m[3], " -- ")
			if (s.why != "") != (s.binds == "client") {
				return nil, fmt.Errorf("%s:%d: \" -- reason\" is for what binds clients only, and needed there", path, n)
			}
			if seen[s.id] {
				return nil, fmt.Errorf("%s:%d: %s twice", path, n, s.id)
			}
			seen[s.id] = true
			all[standard.prefix] = append(all[standard.prefix], s)
		}
	}
	return all, nil
}
