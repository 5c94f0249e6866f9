package settings

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSize bounds a file: nobody types more.
const maxSize = 16 << 10

// Value is a key's value and the line it stands in.
type Value struct {
	Text string
	Line int
}

// Parse reads a file's keys; name is its name in errors, known what may stand
// in it.
func Parse(name string, data []byte, known ...string) (map[string]Value, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: larger than 16 KiB", name)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: not plain text: save it as UTF-8", name)
	}
	values := map[string]Value{}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		key, text = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(text)
		if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
			text = text[1 : len(text)-1]
		}
		switch _, twice := values[key]; {
		case !ok:
			return nil, fmt.Errorf("%s:%d: expected key = value", name, i+1)
		case !slices.Contains(known, key):
			return nil, fmt.Errorf("%s:%d: %q is not known here; known are %s", name, i+1, key, strings.Join(known, ", "))
		case twice:
			return nil, fmt.Errorf("%s:%d: %s stands there twice", name, i+1, key)
		case text == "":
			return nil, fmt.Errorf("%s:%d: %s has no value", name, i+1, key)
		}
		values[key] = Value{text, i + 1}
	}
	return values, nil
}
