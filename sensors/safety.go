package sensors

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Safety is what an output obeys, whatever commands say. Drivers embed it in
// the options of an output and hand it to the manager, which carries it out.
type Safety struct {
	MaxOn    time.Duration `yaml:"max_on" doc:"longest time active; a further ON does not extend it"`
	Require  string        `yaml:"require" doc:"condition for ON, and for staying on, as tank.level > 10; with and, or, parentheses, ON and OFF" ex:"tank.level > 10"`
	Failsafe Failsafe      `yaml:"failsafe" doc:"level when whoever controls the output is gone"`

	Entity string `yaml:"-"`
	// Off is the payload that brings the output to rest; it is always allowed.
	// "" when nothing does.
	Off string `yaml:"-"`
	// Timed: the manager carries out MaxOn, and on_for of commands. A driver
	// whose output can be switched off without it does so itself.
	Timed bool `yaml:"-"`
	// Path is where the options are: "" among the device's, "commands.valve"
	// below them, "." among the entity's.
	Path string `yaml:"-"`
}

// Failsafe is the dead man's handle of an output.
type Failsafe struct {
	State   string        `yaml:"state" doc:"level to fall back to: active, inactive, or the payload of a command"`
	After   time.Duration `yaml:"after" doc:"how long it may be gone" ex:"30s"`
	Without string        `yaml:"without" doc:"who must be there: client NAME; or heartbeat TOPIC, where something must be published; heartbeat alone is .../DEVICE/heartbeat/set" ex:"client homeassistant"`
}

// Guarded is a Commander whose outputs obey more than commands.
type Guarded interface {
	Commander
	// Outputs returns what each output obeys.
	Outputs() []Safety
}

// Immediate is a Commander whose Do may be called beside any of its other
// methods, at any time, and returns without waiting for a device to answer:
// its outputs fall to their fail-safe state at once, whatever the manager is
// doing.
type Immediate interface {
	Commander
	Immediate()
}

// Heir is a Commander that can go on with the outputs of another one as they
// are, so that a change of the configuration switches nothing.
type Heir interface {
	Commander
	// Inherit reports whether it goes on with the outputs of old, which are not
	// stopped then. It waits for no device, and is called between the last call
	// of old but Close and the first Open.
	Inherit(old Driver) bool
}

// Check reports what no output can be. states are the words that
// failsafe.state may be; none: any payload.
func (s *Safety) Check(report func(path, msg string), states ...string) {
	if s.MaxOn < 0 {
		report("max_on", "is negative")
	}
	if s.Require != "" {
		if _, err := ParseCondition(s.Require); err != nil {
			report("require", err.Error())
		}
	}
	f := s.Failsafe
	if f == (Failsafe{}) {
		return
	}
	switch {
	case f.State == "":
		report("failsafe.state", "is missing, as inactive")
	case len(states) > 0 && !slices.Contains(states, f.State):
		report("failsafe.state", fmt.Sprintf("%q is not %s", f.State, strings.Join(states, " or ")))
	}
	if f.After <= 0 {
		report("failsafe.after", "is missing, as 30s")
	}
	client, beat, err := f.watched()
	if err == nil && client == "" && beat != "" {
		err = topic.ValidName(beat)
	}
	if err != nil {
		report("failsafe.without", err.Error())
	}
}

// watched returns the client, or the topic of the heartbeat, "" for the
// device's own.
func (f *Failsafe) watched() (client, beat string, err error) {
	kind, name, _ := strings.Cut(f.Without, " ")
	name = strings.TrimSpace(name)
	switch {
	case kind == "client" && name != "":
		return name, "", nil
	case kind == "heartbeat":
		return "", name, nil
	}
	return "", "", fmt.Errorf("%q is neither client NAME nor heartbeat TOPIC", f.Without)
}

// payload is the command that brings the output to the fail-safe state.
func (s *Safety) failsafe() string {
	switch s.Failsafe.State {
	case "active":
		return "ON"
	case "inactive":
		if s.Off != "" {
			return s.Off
		}
		return "OFF"
	}
	return s.Failsafe.State
}

// rests reports whether a command brings the output to rest.
func (s *Safety) rests(payload []byte) bool {
	return s.Off != "" && (string(payload) == s.Off || isOff([]byte(s.Off)) && isOff(payload))
}

// isOff reports whether a command is one of the words for OFF.
func isOff(payload []byte) bool {
	c, err := ParseSwitch(payload)
	return err == nil && !c.On && !c.Toggle
}
