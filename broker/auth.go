package broker

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What the broker asks about clients, and the answers; see Options.Auth.
type (
	// Authenticator says who a client is and what it may do.
	Authenticator = auth.Authenticator
	// Connect is what is known about a client when it asks to be let in.
	Connect = auth.Connect
	// Identity is who a client proved to be.
	Identity = auth.Identity
	// Action is what a client wants to do with a topic.
	Action = auth.Action
	// Access is one question for Authenticator.Authorize.
	Access = auth.Access
	// Decision is its answer.
	Decision = auth.Decision
	// Exchange is one enhanced authentication.
	Exchange = auth.Exchange
)

// The actions.
const (
	Publish   = auth.Publish
	Subscribe = auth.Subscribe
	Receive   = auth.Receive
)

// everybody is Options.Auth nil: each client goes by the User Name of CONNECT
// and may do everything.
type everybody struct{}

func (everybody) Authenticate(_ context.Context, c *Connect) (Identity, error) {
	return Identity{User: c.Username}, nil
}

func (everybody) Exchange(string, *Connect) Exchange { return nil }

func (everybody) Authorize(*Access) Decision { return Decision{MaxQoS: mqtt.ExactlyOnce} }

func (everybody) Generation() uint64 { return 0 }
