package sensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Switch is a command to something that is on or off.
type Switch struct {
	On     bool
	Toggle bool
	OnFor  time.Duration // 0: no end
}

// maxPulse bounds on_for: a pulse of more than a day is a mistake in its unit.
const maxPulse = 24 * time.Hour

// ParseSwitch reads ON, OFF, 1, 0, true, false or TOGGLE in any case, or
// {"state":"ON","on_for":"5s"}.
func ParseSwitch(payload []byte) (Switch, error) {
	text := bytes.TrimSpace(payload)
	if len(text) > 0 && text[0] == '{' {
		return parseSwitchObject(text)
	}
	return parseSwitchWord(string(text))
}

func parseSwitchWord(word string) (Switch, error) {
	switch strings.ToUpper(word) {
	case "ON", "1", "TRUE":
		return Switch{On: true}, nil
	case "OFF", "0", "FALSE":
		return Switch{}, nil
	case "TOGGLE":
		return Switch{Toggle: true}, nil
	case "":
		return Switch{}, errors.New("empty command: ON, OFF or TOGGLE")
	}
	return Switch{}, fmt.Errorf("%.40q is not ON, OFF, TOGGLE, 1, 0, true, false or {\"state\":\"ON\",\"on_for\":\"5s\"}", word)
}

func parseSwitchObject(text []byte) (Switch, error) {
	var o struct {
		State json.RawMessage `json:"state"`
		OnFor json.RawMessage `json:"on_for"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return Switch{}, fmt.Errorf("command: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Switch{}, errors.New("command: something follows the object")
	}
	if o.State == nil {
		return Switch{}, errors.New(`command: "state" is missing`)
	}
	c, err := parseSwitchWord(unquoted(o.State))
	if err != nil || o.OnFor == nil {
		return c, err
	}
	d, err := time.ParseDuration(unquoted(o.OnFor))
	if err != nil || d < time.Millisecond || d > maxPulse {
		return c, fmt.Errorf("on_for %.40s is not a time between 1ms and %v, as \"5s\"", o.OnFor, maxPulse)
	}
	if !c.On {
		return c, errors.New("on_for goes with ON")
	}
	c.OnFor = d
	return c, nil
}

// unquoted is a JSON scalar as text.
func unquoted(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
