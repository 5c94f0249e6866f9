package sensors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Publisher is all that publishing asks of a broker. It returns when the
// message is routed and as durable as its class.
type Publisher interface {
	Publish(ctx context.Context, m mqtt.Message) error
}

// Session is a device's session in the broker. *broker.Client satisfies it.
type Session interface {
	Publisher
	Subscribe(ctx context.Context, subs ...mqtt.Subscription) error
	// Next blocks for the next message of the session's subscriptions; when ctx
	// has ended already, it returns one that is there, or else ctx's error.
	Next(ctx context.Context) (mqtt.Message, error)
	// Abort is the abnormal end: the will is published after its delay, unless
	// the same Client Identifier attaches before [MQTT-3.1.3-9].
	Abort() error
	// DisconnectWithWill ends the session and publishes the will, if there is
	// one, at once: reason code 0x04.
	DisconnectWithWill() error
}

// Payload says in which form values are published.
type Payload string

// The forms of a value.
const (
	Plain Payload = "plain" // one scalar a topic
	JSON  Payload = "json"  // one object a device, on its state topic
	Both  Payload = "both"
	SenML Payload = "senml" // one SenML Pack a device, on its state topic
	// Sparkplug leaves values to Options.EdgeNode.
	Sparkplug Payload = "sparkplug"
)

func (p Payload) valid() bool    { return p == "" || p.scalars() || p.document() || p == Sparkplug }
func (p Payload) scalars() bool  { return p == Plain || p == Both }
func (p Payload) document() bool { return p == JSON || p == Both || p == SenML }

// ValuePolicy says what becomes of a device's retained values while it is
// offline.
type ValuePolicy string

// The policies for the values of an offline device.
const (
	Keep  ValuePolicy = "keep"  // they stay until their Message Expiry Interval ends
	Clear ValuePolicy = "clear" // they are removed by an empty retained message
	NaN   ValuePolicy = "nan"   // they become NaN
)

// Options are what a Manager needs. Zero values are the defaults.
type Options struct {
	Devices []Device
	// Attach opens an in-process session with this Client Identifier and will
	// (nil: none). It must resume an existing session (Clean Start 0) and keep
	// it for at least the will's delay (Session Expiry Interval), or an
	// abnormal end would publish the will at once. news, unless it is nil, is
	// called whenever Next may have something to return, also that the session
	// has ended; it returns at once. Required.
	Attach func(id string, will *mqtt.Will, news func()) (Session, error)
	// Buses is the hardware. Required unless no driver uses it.
	Buses Buses
	// Base is the root of the topics, as "dunlin/barn-1". Required.
	Base string
	// Payload is the form of values; "" is Plain.
	Payload Payload
	// Totals keeps totals over restarts; nil forgets them.
	Totals Totals
	// ClockSynced tells whether the system clock can be believed; nil asks the
	// kernel. It goes into the user property "clock".
	ClockSynced func() bool
	// Registry is the file in which the manager keeps what it has published of
	// which device, so that nothing is left of one that is gone; "" keeps it in
	// memory.
	Registry string
	// EdgeNode publishes for devices with the payload Sparkplug; required when there
	// is one.
	EdgeNode EdgeNode
	// Discovery announces the devices; nil announces none.
	Discovery *Discovery
	// Watch calls f now and whenever the client with this Client Identifier
	// comes or goes, until stop is called; f must return at once. Required when
	// an output has a fail-safe that is tied to a client.
	Watch func(client string, f func(there bool)) (stop func())
	// Log receives life-cycle events; nil discards them.
	Log *slog.Logger
}

// Device is one device with its driver. Zero values are the defaults.
type Device struct {
	Name   string
	Driver Driver
	// Model is what announcements call the device: its driver.
	Model string
	// Interval is the time between two reads; 0 is 30 s. A Pusher has none.
	Interval time.Duration
	// StaleAfter is how old the newest valid reading may become before the
	// device is offline, and the Message Expiry Interval of its values; 0 is
	// three intervals. Less than two intervals is raised to that, unless the
	// driver is a Pusher.
	StaleAfter time.Duration
	// FailAfter is how many intervals in a row may fail; 0 is 3.
	FailAfter int
	// WillDelay is how long a failed device may take to come back before the
	// broker publishes its availability as offline. As given: 0 is at once.
	WillDelay time.Duration
	// Timeout is the deadline of one Read, Open or Do; 0 is the interval, at
	// least 1 s, at most 10 s.
	Timeout time.Duration
	// QoS is that of the values, as given.
	QoS mqtt.QoS
	// Payload overrides Options.Payload.
	Payload Payload
	// Offline says what becomes of the values while the device is offline; ""
	// is Keep.
	Offline ValuePolicy
	// DeviceClass and StateClass are those of the device's first entity, unless
	// it has its own: Home Assistant's words.
	DeviceClass, StateClass string
	// Power is the supply that the device may be cut off from to heal it; nil:
	// none.
	Power *Power
	// Strict makes a reading with a rejected value a failed one, although other
	// values of it are good.
	Strict bool
	// Entities adds to what the driver says of its entities; readings of
	// entities that are not listed are published as they are.
	Entities []Entity
}

// Entity is what the configuration says of one entity.
type Entity struct {
	Name    string
	Unit    string // overrides the driver's
	Filters []Filter
	// DeviceClass and StateClass are words of Home Assistant, for announcements.
	DeviceClass, StateClass string
	// Category is "", diagnostic or config: Home Assistant's, as well.
	Category string
	// Disabled is an entity whose readings are thrown away. What an earlier
	// life of it has left is removed.
	Disabled bool
	// AcceptRetained carries out retained commands too, those that were
	// published before the gateway started.
	AcceptRetained bool
}

// reserved are the names below a device that are no entities.
var reserved = [...]string{"state", "health", "availability", "set", "result"}

const (
	defaultInterval  = 30 * time.Second
	defaultFailAfter = 3
)

// withDefaults checks d and fills in what it leaves out.
func (d Device) withDefaults(o *Options) (Device, error) {
	if err := d.check(); err != nil {
		return d, fmt.Errorf("device %q: %w", d.Name, err)
	}
	d.Interval = cmp.Or(d.Interval, defaultInterval)
	d.StaleAfter = cmp.Or(d.StaleAfter, 3*d.Interval)
	if _, push := d.Driver.(Pusher); !push {
		d.StaleAfter = max(d.StaleAfter, 2*d.Interval)
	}
	d.FailAfter = cmp.Or(d.FailAfter, defaultFailAfter)
	if p := d.Power; p != nil {
		d.Power = &Power{p.Line, cmp.Or(p.Off, 2*time.Second), cmp.Or(p.Settle, time.Second)}
	}
	d.Timeout = cmp.Or(d.Timeout, min(max(d.Interval, time.Second), 10*time.Second))
	d.Payload = cmp.Or(d.Payload, o.Payload, Plain)
	d.Offline = cmp.Or(d.Offline, Keep)
	if d.Payload == Sparkplug && o.EdgeNode == nil {
		return d, fmt.Errorf("device %q: nobody speaks Sparkplug", d.Name)
	}
	return d, nil
}

func (d *Device) check() error {
	if err := checkName(d.Name, "status"); err != nil {
		return err
	}
	switch {
	case d.Driver == nil:
		return fmt.Errorf("has no driver")
	case d.Interval < 0 || d.StaleAfter < 0 || d.FailAfter < 0 || d.WillDelay < 0 || d.Timeout < 0:
		return fmt.Errorf("a time or count is negative")
	case !d.QoS.Valid():
		return fmt.Errorf("QoS %d does not exist", d.QoS)
	}
	if !d.Payload.valid() {
		return fmt.Errorf("payload %q does not exist", d.Payload)
	}
	if d.Offline != "" && d.Offline != Keep && d.Offline != Clear && d.Offline != NaN {
		return fmt.Errorf("value policy %q does not exist", d.Offline)
	}
	seen := map[string]bool{}
	for _, e := range d.Entities {
		if err := checkName(e.Name, reserved[:]...); err != nil {
			return fmt.Errorf("entity %q: %w", e.Name, err)
		}
		if seen[e.Name] {
			return fmt.Errorf("entity %q is listed twice", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

// checkName makes sure that a name is one topic level and none of the
// reserved words.
func checkName(name string, reserved ...string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("a name is one topic level, without \"/\"")
	}
	if err := topic.ValidName(name); err != nil {
		return fmt.Errorf("no topic level: %w", err)
	}
	for _, r := range reserved {
		if name == r {
			return fmt.Errorf("the name is reserved")
		}
	}
	return nil
}

// EntityName makes a name of an entity from a label of the hardware: lower
// case letters, digits and underscores.
func EntityName(label string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(label) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	return strings.TrimSuffix(b.String(), "_")
}
