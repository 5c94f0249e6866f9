package broker

import (
	"log/slog"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/router"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Options configure a Broker; the zero value serves in-process clients only.
type Options struct {
	Listeners []ListenerOptions
	Overflow  Overflow // what gives way when the queue of a session is full
	Limits    Limits
	Features  *Features    // nil: all
	Log       *slog.Logger // nil discards
	// Auth says who a client is and what it may do. nil lets everybody in
	// under the User Name of CONNECT, to do everything.
	Auth Authenticator
	// ClientEvents publishes what network clients do on
	// $SYS/dunlin/clients/{id}/connected, disconnected, subscribed and
	// unsubscribed.
	ClientEvents bool
	// OnClient hears of the same, of clients that were refused and of what
	// their rights did not cover; nil hears nothing. It is called from many
	// goroutines, and clients wait for it.
	OnClient func(ClientEvent)
	// SysInterval is the time between updates of $SYS; 0 publishes nothing
	// there. Version is what $SYS/broker/version says.
	SysInterval time.Duration
	Version     string
	// Emptied, when not nil, is called when many connections have gone, or memory
	// is no longer short, and the broker has given back what it held for them:
	// the program can give back what else only they needed. It runs on a
	// goroutine of the Broker, which waits for it.
	Emptied func()
	// OverlapEach delivers a message once for each subscription of a client
	// that matches, instead of once with the highest QoS.
	OverlapEach bool
	// MemoryBudget bounds what clients make the broker hold, in bytes: see
	// DESIGN.md for what is refused and given up when it gets short. 0 only
	// counts. MemoryLimit is what the heap of the whole program may have.
	MemoryBudget, MemoryLimit int64
	// Data keeps state across the end of the process; nil keeps it in memory.
	Data *Data
	// Store takes the place of Data in tests.
	Store router.Store
}

// ListenerOptions describe a listener that is bound already; see Listen. The
// broker closes it.
type ListenerOptions struct {
	Name     string // for the log and Connect
	Listener net.Listener
	// Anonymous is handed to Auth: clients that prove nothing are let in.
	Anonymous bool
	Auth      Authenticator // nil: Options.Auth
	// OwnUsers says that a user here is not who has the same name elsewhere;
	// so it is with an Auth of its own.
	OwnUsers bool
	Limits   *Limits   // nil: Options.Limits
	Features *Features // nil: Options.Features
	// TopicPrefix is put before every topic of the listener's clients, and
	// taken off towards them.
	TopicPrefix string
	// Proxied says that connections come from proxies which name the client in
	// a PROXY header: rates count for the client, not for the proxy.
	Proxied bool
	// Renewed is for Relisten: who came through the socket before has to come
	// again.
	Renewed bool
	// Redirect sends every client of the listener to another server; nil
	// serves them.
	Redirect *Redirect
}

// Redirect is where clients find another server (4.11).
type Redirect struct {
	Reference string // host:port of it, or several with spaces between
	Permanent bool   // 0x9D Server moved instead of 0x9C Use another server
}

func (r *Redirect) refusal() error {
	if r == nil {
		return nil
	}
	e := mqtt.Errorf(mqtt.UseAnotherServer, "", "use another server")
	if r.Permanent {
		e = mqtt.Errorf(mqtt.ServerMoved, "", "the server has moved")
	}
	return &conn.Redirect{Err: e, Reference: r.Reference}
}

// Features are what clients may use. What is off is announced to 5.0 clients
// and refused.
type Features struct {
	MaxQoS                  mqtt.QoS // of PUBLISH and wills
	Retain                  bool
	Wildcard                bool // wildcards in Topic Filters
	Shared                  bool // Shared Subscriptions
	SubscriptionIdentifiers bool
	// CheckPayload refuses payloads that are not the UTF-8 that their Payload
	// Format Indicator says they are (0x99).
	CheckPayload bool
	// ResponseInformation answers 5.0 clients that ask for Response
	// Information: the start of the Response Topics they should use, with
	// {client} for the Client Identifier. Empty: no answer.
	ResponseInformation string
}

// AllFeatures is what the standard has.
func AllFeatures() Features {
	return Features{MaxQoS: mqtt.ExactlyOnce, Retain: true, Wildcard: true, Shared: true, SubscriptionIdentifiers: true}
}

// Limits bound what clients may use. A zero value means the default; where a
// limit is announced to clients, it is enforced on them.
type Limits struct {
	// Exact makes a zero of TopicAliasMaximum, SessionExpiryMax, the queue and
	// the retained messages a zero.
	Exact             bool
	Connections       int           // network connections at a time; default 1000
	PacketSize        uint32        // bytes, of what clients send; default 256 KiB
	ReceiveMaximum    uint16        // QoS 1 and 2 in flight, each way; default 20
	TopicAliasMaximum uint16        // each way; default 10
	KeepAliveMax      time.Duration // Server Keep Alive for 5.0 clients that ask for more or none; default 1 h
	SessionExpiryMax  time.Duration // default 7 days; negative never expires
	QueueMessages     int           // waiting and in flight per session; default 1000
	QueueSize         int           // bytes; default 1 MiB
	RetainedMessages  int           // default 20000
	RetainedSize      int64         // bytes; default 4 MiB
	Sessions          int           // that outlive their connections; default 5000
	SessionsPerUser   int           // of these, of one user, or of all who are nobody in particular; default seven eighths
	Subscriptions     int           // per session; default 500
	TopicLevels       int           // default 16
	TopicLength       int           // bytes; default 1024
	// KeepAliveFactor times Keep Alive is the silence that ends a connection,
	// at least 1; default 1.5, the standard's [MQTT-3.1.2-22].
	KeepAliveFactor float64
	// MessageRate and ByteRate bound what a client publishes a second; it is
	// read no faster. 0 is no limit.
	MessageRate, ByteRate float64
	// ConnectRate bounds the connections of one address (of IPv6, one /64) a
	// second; what 10 s bring may come at once. 0 is no limit.
	ConnectRate float64
	// LocalConnectRate is the same for loopback addresses: behind one of them
	// may be a proxy with all its clients, or many programs. 0 is no limit.
	LocalConnectRate float64
	// FailedConnects is how many attempts with one User Name from an address
	// may prove nothing before the next ones have to wait 1, 2, 4 ... 60 s;
	// five times as many with whatever names make the address wait, a loopback
	// address a second at most. A client that proved itself at the address
	// before is held up only by failures of its own. Default 10, negative: never.
	FailedConnects int
	// Flapping bans a Client Identifier with more connections than this that
	// ended badly in FlappingWindow, for as long; 0 never.
	Flapping       int
	FlappingWindow time.Duration // default 1 min
}

func or[T float64 | int | int64 | uint16 | uint32 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (l *Limits) setDefaults() {
	or(&l.Connections, 1000)
	or(&l.PacketSize, 256<<10)
	or(&l.ReceiveMaximum, 20)
	or(&l.KeepAliveMax, time.Hour)
	if !l.Exact {
		or(&l.SessionExpiryMax, 7*24*time.Hour)
		or(&l.TopicAliasMaximum, 10)
		or(&l.QueueMessages, 1000)
		or(&l.QueueSize, 1<<20)
		or(&l.RetainedMessages, 20000)
		or(&l.RetainedSize, 4<<20)
	}
	or(&l.Sessions, 5000)
	or(&l.SessionsPerUser, l.Sessions-l.Sessions/8)
	or(&l.Subscriptions, 500)
	or(&l.TopicLevels, 16)
	or(&l.TopicLength, 1024)
	or(&l.KeepAliveFactor, 1.5)
	or(&l.FailedConnects, 10)
	or(&l.FlappingWindow, time.Minute)
	if l.SessionExpiryMax < 0 {
		l.SessionExpiryMax = session.NeverExpires
	}
}

// impossible reports a limit that cannot be meant.
func (l *Limits) impossible() bool {
	return l.Connections < 0 || l.QueueMessages < 0 || l.QueueSize < 0 || l.RetainedMessages < 0 || l.RetainedSize < 0 ||
		l.Subscriptions < 0 || l.Sessions < 0 || l.SessionsPerUser < 0 || l.TopicLevels < 0 || l.TopicLength < 0 || l.KeepAliveMax < 0 || l.KeepAliveFactor != 0 && l.KeepAliveFactor < 1 ||
		l.MessageRate < 0 || l.ByteRate < 0 || l.ConnectRate < 0 || l.LocalConnectRate < 0 || l.Flapping < 0 || l.FlappingWindow < 0
}

func (l *Limits) conn() conn.Limits {
	return conn.Limits{
		PacketSize: l.PacketSize, ReceiveMaximum: l.ReceiveMaximum, TopicAliasMaximum: l.TopicAliasMaximum,
		TopicLevels: l.TopicLevels, TopicLength: l.TopicLength, KeepAliveFactor: l.KeepAliveFactor, MessageRate: l.MessageRate, ByteRate: l.ByteRate,
	}
}

// session is what a session may hold by l.
func (h *hub) session(l *Limits) *session.Limits {
	o := &session.Limits{
		QueueMessages: l.QueueMessages, QueueBytes: l.QueueSize, Subscriptions: l.Subscriptions,
		Overflow: h.overflow, Spills: h.durable != nil,
	}
	// What is in flight to a client that is there needs room even where
	// nothing is kept for those who are away.
	or(&o.QueueMessages, int(l.ReceiveMaximum))
	or(&o.QueueBytes, int(l.PacketSize))
	return o
}
