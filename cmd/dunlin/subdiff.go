package main

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// diffView shows of each message what is different from the one before on its
// topic. It remembers as many bytes of payloads as mostRemembered; a topic that
// finds no room has no message before.
type diffView struct {
	*terminalView
	before map[string][]byte
	bytes  int
}

const mostRemembered = 8 << 20

func newDiffView(terminal bool) *diffView {
	v := &diffView{newTerminalView(), map[string][]byte{}, 0}
	v.color = v.color && (terminal || forceColor())
	return v
}

func (v *diffView) line(dst []byte, m *client.Message, now time.Time) []byte {
	old, known := v.before[m.Topic]
	v.bytes -= len(old)
	if v.bytes+len(m.Payload)+len(m.Topic) <= mostRemembered {
		if !known {
			v.bytes += len(m.Topic)
		}
		v.bytes += len(m.Payload)
		v.before[m.Topic] = bytes.Clone(m.Payload)
	} else if known {
		delete(v.before, m.Topic)
		v.bytes -= len(m.Topic)
	}
	text := value(m.Payload)
	switch {
	case known && bytes.Equal(old, m.Payload):
		text = "(same)"
	case known:
		text = difference(old, m.Payload)
	}
	return v.row(dst, m, now, text)
}

// difference words what is new: of JSON objects each member that is, of
// anything else the whole.
func difference(old, now []byte) string {
	before, after := map[string]string{}, map[string]string{}
	if !members(before, "", old) || !members(after, "", now) {
		return value(old) + " → " + value(now)
	}
	var text []string
	for name, b := range after {
		if a, was := before[name]; !was {
			text = append(text, "+"+name+": "+b)
		} else if a != b {
			text = append(text, name+": "+a+" → "+b)
		}
	}
	for name, a := range before {
		if _, is := after[name]; !is {
			text = append(text, "-"+name+": "+a)
		}
	}
	sort.Strings(text)
	if len(text) == 0 {
		return "(same but for the form)"
	}
	return value([]byte(strings.Join(text, ", ")))
}

// members adds those of a JSON object, and of objects in it; false if b is
// none.
func members(to map[string]string, prefix string, b []byte) bool {
	var all map[string]json.RawMessage
	if json.Unmarshal(b, &all) != nil || all == nil {
		return false
	}
	for name, v := range all {
		if !members(to, prefix+name+".", v) {
			to[prefix+name] = string(v)
		}
	}
	return true
}
