package auth

import (
	"cmp"
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Connect is what is known about a client when it asks to be let in.
type Connect struct {
	ClientID    string // empty when the server will assign one
	Username    string
	HasUsername bool
	Password    []byte // valid during the call
	HasPassword bool
	Version     mqtt.Version
	Listener    string // its name
	Remote      string // address for logs; "" for in-process clients
	// Anonymous: the listener lets clients in that prove nothing.
	Anonymous bool
	// CertificateUser is the user name that a verified client certificate
	// stands for; "" without one.
	CertificateUser string
	// SocketUser is the system user at the other end of a Unix socket; "" for
	// other transports.
	SocketUser string
	// MemoryShort: nothing that takes much memory may be begun now.
	MemoryShort bool
}

// Identity is who a client proved to be. The zero value is nobody in
// particular: an anonymous client.
type Identity struct {
	User string
	// Expires ends the connection when the proof ends (a token's exp); zero
	// never.
	Expires time.Time

	proof *proof
}

// Principal names the owner of what the identity makes: two identities are
// the same person or thing when their Principals are equal. Anonymous clients
// have "". A users file of one listener has people of its own.
func (i *Identity) Principal() string {
	if i.proof == nil || i.proof.realm == "" {
		return i.User
	}
	return i.proof.realm + "\x00" + i.User
}

// Name is the user name, or Anonymous, which no user has.
func (i *Identity) Name() string { return cmp.Or(i.User, Anonymous) }

// Action is what a client wants to do with a topic.
type Action uint8

// The actions.
const (
	Publish   Action = iota + 1 // Topic is a Topic Name
	Subscribe                   // Topic is a Topic Filter, without $share/name/
	Receive                     // Topic is a Topic Name
)

// Access is one question for Authorize.
type Access struct {
	Identity *Identity
	ClientID string
	Listener string
	Action   Action
	Topic    string
	QoS      mqtt.QoS // asked for
	Retain   bool     // of what is published
}

// Decision is the answer. Code is Success or why not.
type Decision struct {
	Code mqtt.ReasonCode
	// MaxQoS caps a granted Subscribe; a Publish above it has a failed Code.
	MaxQoS mqtt.QoS
	// Each, for Subscribe: the identity may not receive all that the filter can
	// match, so that every message must be asked for with Receive.
	Each bool
}

// Exchange is one enhanced authentication (4.12). Step takes the
// Authentication Data of CONNECT or AUTH and returns what to send back; done
// ends it with an identity. The error is an *mqtt.Error for CONNACK or
// DISCONNECT. An Exchange is used by one connection at a time; Step may take
// as long as a password hash.
type Exchange interface {
	Step(ctx context.Context, data []byte) (reply []byte, done bool, id Identity, err error)
}

// Authenticator is what the broker asks; tests put in fakes. All methods may
// be called from any goroutine.
type Authenticator interface {
	// Authenticate proves CONNECT without an Authentication Method. It may wait
	// for a password hash until ctx ends. The error is an *mqtt.Error for
	// CONNACK.
	Authenticate(ctx context.Context, c *Connect) (Identity, error)
	// Exchange starts an enhanced authentication; nil for a method it does not
	// have (CONNACK 0x8C [MQTT-4.12.0-1]).
	Exchange(method string, c *Connect) Exchange
	// Authorize must not wait and must not allocate where it grants.
	Authorize(a *Access) Decision
	// Generation changes whenever answers of Authorize may have changed.
	Generation() uint64
}
