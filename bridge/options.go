package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Publisher is where messages from upstream go. *broker.Client satisfies it.
type Publisher interface {
	// Publish returns nil when the message is routed and as durable as
	// configured. An *mqtt.Error is final and is reported to the upstream
	// server; any other error makes the bridge ask for the message again.
	Publish(ctx context.Context, m mqtt.Message) error
	// PublishFrom is Publish of a QoS 2 message: it and its identifier become
	// durable in one record. again says that the identifier was known, so that
	// the message was not published a second time.
	PublishFrom(ctx context.Context, m mqtt.Message, from mqtt.Origin) (again bool, err error)
	// Release ends the life of an identifier; durable when it returns nil.
	Release(ctx context.Context, from mqtt.Origin) (known bool, err error)
	// Forget ends the life of all identifiers of a session.
	Forget(ctx context.Context, session string) error
}

// Options describe one bridge. The zero value of a field means its default.
type Options struct {
	Name     string   // of the bridge; required; part of its local identity
	Servers  []string // mqtt://, mqtts://, ws://, wss:// host[:port][/path]; the first is preferred
	ClientID string   // required: a session upstream needs a name
	// Protocol is the version spoken; default 5.0. There is no falling back
	// to another one.
	Protocol mqtt.Version
	Username string
	Password string
	// Signer makes the password of each connection in place of Password.
	Signer Signer
	// HasCertificate and Signs say that TLS shows one to the server, and that
	// there will be a Signer. They are for Profile.Check alone.
	HasCertificate, Signs bool
	// Profile is what the server can and cannot do; the zero value has no
	// limits.
	Profile Profile
	// TLS says how to speak mqtts:// and wss://: roots, client certificates.
	// It is asked before each connection, so that files which have changed
	// count. The ServerName defaults to the server's host. Nil means the
	// system's roots.
	TLS func() (*tls.Config, error)
	// Built is when the program was built; a clock that shows less was never
	// set. While it does, a server's certificate is checked at the earliest time
	// that it can be: when all of the chain was valid, but not before Built. Zero:
	// by the clock in any case.
	Built time.Time
	// Proxy is http://host:port (CONNECT) or socks5://host:port, with user name
	// and password before the host if it wants them. It resolves the server's
	// name. Empty: none; the environment is not looked at.
	Proxy     string
	KeepAlive time.Duration // default 30 s; 1 s to 18 h
	// SessionExpiry is how long the server keeps the session while the
	// bridge is away; default 1 h, at least 1 s.
	SessionExpiry time.Duration
	// StatusTopic carries, retained, "online" while connected and "offline"
	// otherwise, the latter as Will Message. Empty: neither.
	StatusTopic string
	Out         []Route // local to upstream; the first that matches is used
	In          []Route // upstream to local

	InFlight      int    // messages in flight upstream; default 20, at most 1000
	InFlightBytes int    // and their bytes; default 64 KiB; one message always fits
	PacketSize    uint32 // largest packet accepted from upstream in bytes; default 256 KiB

	// RetryMax bounds the wait between attempts; default 5 min, and 10 min
	// after a failure of credentials or certificates.
	RetryMax time.Duration

	// Queues hold what goes up, by Lane; a lane without routes needs none.
	Queues  [LaneCount]Queue
	Intakes [LaneCount]*Intake // of the Queues, from NewIntake
	Crowded [LaneCount]bool    // what the process before left is so much, or so old, that it may have given up some
	// Dead keeps what is given up, for people to look at; nil: it is only
	// counted.
	Dead     Backlog
	Envelope Envelope
	// Edge makes messages those of a Sparkplug node, in place of an Envelope;
	// nil: they stay what they are. With it sessions are clean, what goes up is
	// of QoS 0, the will is the node's, and In are the local topics that commands
	// may reach.
	Edge Edge
	// Mark names this gateway in messages, so that one which comes back is
	// known; the bridges of a gateway have the same. Default: random.
	Mark string
	// ClockSynced tells whether the clock can be believed; nil: it can.
	ClockSynced func() bool
	// Clock corrects times of before the clock was set; nil: one of its own.
	Clock *Clock
	Pace  Pace
	// Usage is the file that keeps the bytes of the day across the end of
	// the process, for Pace.Daily. Empty: they are forgotten.
	Usage string

	// Subscribed is the file that notes the filters of In, so that those which
	// a later configuration does not have are taken back. Empty: they stay with
	// the session upstream.
	Subscribed string

	Local Publisher // required with In
	// Held returns the local retained message of a topic, or nil. What the server
	// sends again at each connection is not published again if it is held, and what
	// went up after messages were given up is compared with it. Nil: neither.
	Held func(topic string) *mqtt.Message
	// Base is above what the gateway publishes itself: of what comes down, routes
	// whose To does not begin with it publish nothing below it but commands
	// (.../set). Empty protects nothing.
	Base string
	Log  *slog.Logger
	// OnEvent hears of changes as they happen. It is called by the bridge's
	// goroutines and must return at once.
	OnEvent func(Event)
	// Dial replaces name resolution and TCP for tests; server is host:port,
	// that of the proxy if there is one. What lies above is still done on what
	// it returns.
	Dial func(ctx context.Context, server string) (net.Conn, error)
}

// Edge is a Sparkplug Edge Node. Command may be called beside the others.
type Edge interface {
	// Will begins a connection: its will, and the filters of commands.
	Will() (will mqtt.Message, commands []string)
	// Births are what a connection begins with, the answer to a rebirth, and what
	// says how things are when all that was past has gone up.
	Births(ctx context.Context) []mqtt.Message
	// Data is what becomes of a message that was captured at this time; past: it
	// has waited for the connection.
	Data(ctx context.Context, m *mqtt.Message, at time.Time, past bool) []mqtt.Message
	// Command reads one: births are asked for, or messages are to be published.
	Command(m *mqtt.Message) (rebirth bool, set []mqtt.Message)
}

// RetainPolicy says what becomes of the RETAIN flag on a route.
type RetainPolicy byte

// The retain policies.
const (
	KeepRetain  RetainPolicy = iota // as the publisher set it
	StripRetain                     // never retained on the other side
)

// Route maps topics across the bridge.
type Route struct {
	From string // Topic Filter on the side the messages come from
	// To is the topic on the other side. It holds the same wildcards as From
	// in the same order; each stands for what it matched. Empty: as From.
	To     string
	QoS    *mqtt.QoS // cap on the QoS; nil: none
	Retain RetainPolicy
	// Share, of a route down, is the ShareName of a Shared Subscription: one of
	// its subscribers gets each message. Empty: each gets all.
	Share string
	// The rest is for routes up.
	Lane Lane
	TTL  time.Duration // a message that waited longer is dropped; 0: none is
	Keep Keep          // while the link is down
	// MaxSize is the largest payload in bytes; larger ones are given up. 0: any.
	MaxSize int
	Batch   Batch // joins messages into one
}

// LocalID is the Client Identifier under which the bridge called name
// publishes locally. Its Queue must skip messages of this publisher.
func LocalID(name string) string { return "bridge:" + name }

// NewMark returns a Mark that no other gateway has. It is new with every start
// of the process: names of hosts are often the same.
func NewMark() string { return strconv.FormatUint(rand.Uint64()>>24, 36) }

func (o *Options) setDefaults() {
	if o.Protocol == 0 {
		o.Protocol = mqtt.V5
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 30 * time.Second
	}
	if o.SessionExpiry == 0 {
		o.SessionExpiry = time.Hour
	}
	if o.InFlight == 0 {
		o.InFlight = 20
	}
	if o.InFlightBytes == 0 {
		o.InFlightBytes = 64 << 10
	}
	if o.PacketSize == 0 {
		o.PacketSize = 256 << 10
	}
	if o.Mark == "" {
		o.Mark = NewMark()
	}
	if o.ClockSynced == nil {
		o.ClockSynced = func() bool { return true }
	}
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
}

func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Name == "" {
		bad("name: missing")
	}
	if o.ClientID == "" {
		bad("client_id: missing; the upstream session is found by it")
	}
	switch o.Protocol {
	case mqtt.V5, mqtt.V311, mqtt.V31:
	default:
		bad("protocol: %d is not a version of MQTT", byte(o.Protocol))
	}
	if len(o.Servers) == 0 {
		bad("servers: at least one is needed")
	}
	if o.KeepAlive < time.Second || o.KeepAlive > 18*time.Hour {
		bad("keep_alive: %v is not within 1s to 18h", o.KeepAlive)
	}
	if o.SessionExpiry < time.Second {
		bad("session_expiry: %v is shorter than 1s", o.SessionExpiry)
	}
	if o.InFlight < 1 || o.InFlight > MaxInFlight {
		bad("inflight: %d is not within 1 to %d", o.InFlight, MaxInFlight)
	}
	for _, r := range o.Out {
		if r.Batch.Form != BatchNone && (o.Envelope == ThingsBoard || o.Edge != nil) {
			bad("out: the route from %q: the envelope takes no batches", r.From)
		}
		if r.Lane >= LaneCount || o.Queues[r.Lane] == nil {
			bad("out: the route from %q needs a Queue of its lane", r.From)
		}
	}
	if len(o.In) > 0 && o.Local == nil {
		bad("in: routes need a Local publisher")
	}
	if o.StatusTopic != "" {
		if err := topic.ValidName(o.StatusTopic); err != nil {
			bad("status_topic %q: %w", o.StatusTopic, err)
		}
	}
	return errors.Join(errs...)
}
