package drivers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// lineCommand is what a command to one entity sends.
type lineCommand struct {
	Platform string     `yaml:"platform" doc:"what the payload must be; a switch when send has {{1|0}}, text when it has {{payload}}, else a button" enum:"switch|number|text|button"`
	Send     string     `yaml:"send" doc:"what is written: {{1|0}} becomes the first for ON and the second for OFF, {{payload}} the payload; of frames in hexadecimal" req:"1"`
	Type     string     `yaml:"type" doc:"frames: how a number is written, as i16"`
	Raw      bool       `yaml:"raw" doc:"frames: send is a whole frame, checksum included"`
	Expect   lineExpect `yaml:"expect" doc:"how the device confirms"`
	OnStop   string     `yaml:"on_stop" doc:"command to itself at a clean shutdown, as OFF"`
	sensors.Safety
}

// lineExpect names the value by which a device confirms a command.
type lineExpect struct {
	Path   string        `yaml:"path" doc:"json: path of the confirming value"`
	Column string        `yaml:"column" doc:"csv: name or number of its column"`
	Key    string        `yaml:"key" doc:"key_value: its key"`
	Group  string        `yaml:"group" doc:"regex: name or number of its group"`
	Field  string        `yaml:"field" doc:"frames: name of its field"`
	Within time.Duration `yaml:"within" doc:"how long the device may take, 2s when it is not given"`
}

// maxPayload bounds a command's payload.
const maxPayload = 256

// command is a lineCommand that can be carried out.
type command struct {
	entity   string
	platform string
	send     string
	confirm  string // key of the confirming field, "" for none
	within   time.Duration
	// encode writes a payload as the device wants it; nil is as it is.
	encode func(word string) (string, error)
	raw    bool // send is a whole frame
	onStop string
	safety sensors.Safety
}

// fillIn replaces each {{inside}} of text.
func fillIn(text string, value func(inside string) string) string {
	var b strings.Builder
	for {
		end := strings.Index(text, "}}")
		if end < 0 {
			b.WriteString(text)
			return b.String()
		}
		begin := strings.LastIndex(text[:end], "{{")
		if begin < 0 || strings.ContainsAny(text[begin+2:end], "{}") {
			b.WriteString(text[:end+1])
			text = text[end+1:]
			continue
		}
		b.WriteString(text[:begin] + value(text[begin+2:end]))
		text = text[end+2:]
	}
}

func compileCommand(entity string, c *lineCommand, format string) (*command, error) {
	if c.Send == "" {
		return nil, errors.New("send is missing")
	}
	out := &command{entity: entity, platform: c.Platform, send: c.Send, within: c.Expect.Within, raw: c.Raw}
	choices, payloads := 0, 0
	unknown := ""
	fillIn(c.Send, func(inside string) string {
		switch {
		case inside == "payload":
			payloads++
		case strings.Count(inside, "|") == 1:
			choices++
		case unknown == "":
			unknown = "{{" + inside + "}}"
		}
		return ""
	})
	switch {
	case unknown != "":
		return nil, fmt.Errorf("send: %s is neither {{payload}} nor {{on|off}}", unknown)
	case choices > 0 && payloads > 0:
		return nil, errors.New("send: {{payload}} and {{on|off}} do not go together")
	case out.platform != "":
	case choices > 0:
		out.platform = "switch"
	case payloads > 0:
		out.platform = "text"
	default:
		out.platform = "button"
	}
	if !slices.Contains([]string{"switch", "number", "text", "button"}, out.platform) {
		return nil, fmt.Errorf("platform: %q is not switch, number, text or button", out.platform)
	}
	if choices > 0 && out.platform != "switch" {
		return nil, fmt.Errorf("send: {{on|off}} is for platform switch, not %s", out.platform)
	}
	given := map[string]string{"path": c.Expect.Path, "column": c.Expect.Column, "key": c.Expect.Key, "group": c.Expect.Group, "field": c.Expect.Field}
	for key, v := range given {
		if v != "" && key != selectors[format] {
			return nil, fmt.Errorf("expect.%s: format %s has %s", key, format, selectors[format])
		}
	}
	out.confirm = given[selectors[format]]
	if format == "json" {
		out.confirm = jsonPath(out.confirm)
	}
	switch {
	case format != "frames" && (c.Type != "" || c.Raw):
		return nil, errors.New("type and raw: are for frames")
	case out.within < 0:
		return nil, errors.New("expect.within: is negative")
	case out.within == 0:
		out.within = 2 * time.Second
	}
	return out, out.obey(c)
}

// obey takes what the output obeys. A switch rests at OFF, another command at
// its on_stop.
func (c *command) obey(o *lineCommand) (err error) {
	c.safety, c.onStop = o.Safety, o.OnStop
	s := &c.safety
	s.Off, s.Timed = o.OnStop, c.platform == "switch"
	s.Entity, s.Path = c.entity, "commands."+c.entity
	var states []string
	if s.Timed {
		s.Off, states = "OFF", []string{"active", "inactive"}
	}
	if s.MaxOn != 0 && !s.Timed {
		return errors.New("max_on: is for platform switch")
	}
	s.Check(func(path, msg string) {
		if err == nil {
			err = errors.New(path + ": " + msg)
		}
	}, states...)
	for key, payload := range map[string]string{"on_stop": o.OnStop, "failsafe.state": s.Failsafe.State} {
		if payload == "" || s.Timed && key != "on_stop" || err != nil {
			continue
		}
		if _, _, wrong := c.line([]byte(payload)); wrong != nil {
			err = fmt.Errorf("%s: %w", key, wrong)
		}
	}
	return err
}

// line is what is written for a payload, and the value that confirms it; nil
// is any value.
func (c *command) line(payload []byte) (text string, confirm any, err error) {
	if len(payload) > maxPayload {
		return "", nil, fmt.Errorf("payload of %d bytes, at most %d", len(payload), maxPayload)
	}
	word := strings.TrimSpace(string(payload))
	// A control character in a payload would be a second command.
	if !utf8.ValidString(word) || strings.ContainsFunc(word, unicode.IsControl) {
		return "", nil, errors.New("the payload is not plain text")
	}
	on := false
	switch c.platform {
	case "switch":
		s, err := sensors.ParseSwitch(payload)
		if err != nil {
			return "", nil, err
		}
		if s.Toggle || s.OnFor > 0 {
			return "", nil, errors.New("ON or OFF: this device knows neither TOGGLE nor on_for")
		}
		on, confirm = s.On, s.On
	case "number":
		v := infer(word)
		switch v.(type) {
		case int64, uint64, float64:
			confirm = v
		default:
			return "", nil, fmt.Errorf("%.40q is not a number", word)
		}
	case "text":
		if word == "" {
			return "", nil, errors.New("the payload is empty")
		}
		confirm = word
	}
	if c.platform == "switch" {
		word = onOff(on)
	}
	if c.encode != nil {
		if word, err = c.encode(word); err != nil {
			return "", nil, err
		}
	}
	return c.fill(word, on), confirm, nil
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// fill puts a payload into what is sent.
func (c *command) fill(word string, on bool) string {
	return fillIn(c.send, func(inside string) string {
		yes, no, choice := strings.Cut(inside, "|")
		switch {
		case !choice:
			return word
		case on:
			return yes
		}
		return no
	})
}

// withState adds the confirmed value under the command's name, unless the line
// had it as an entity already.
func (d *lines) withState(list []sensors.Reading, c *command, value any) []sensors.Reading {
	if slices.ContainsFunc(list, func(r sensors.Reading) bool { return r.Entity == c.entity }) {
		return list
	}
	kind := ""
	if c.platform == "switch" {
		kind = "bool"
	}
	return append(list, reading(c.entity, kind, value, time.Now()))
}

// confirms compares what the device says with what was asked for.
func confirms(got, want any) bool {
	if got == nil {
		return false
	}
	text := fmt.Sprint(got)
	switch w := want.(type) {
	case bool:
		c, err := sensors.ParseSwitch([]byte(text))
		return err == nil && !c.Toggle && c.On == w
	case string:
		return text == w
	case int64, uint64, float64:
		return number(infer(text)) == number(w)
	}
	return true
}

// number is v as a float64; text is no number, and equals none.
func number(v any) any {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case uint64:
		return float64(n)
	case float64:
		return n
	}
	return nil
}
