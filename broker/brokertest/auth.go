package brokertest

import (
	"context"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Auth is an authenticator for tests. The zero value lets everybody do
// everything.
type Auth struct {
	// Users are passwords by User Name; nil lets everybody in.
	Users map[string]string
	// May answers Authorize; nil grants.
	May func(*broker.Access) broker.Decision
	// Methods start enhanced authentications.
	Methods    map[string]func(*broker.Connect) broker.Exchange
	generation atomic.Uint64
}

// Authenticate compares passwords.
func (a *Auth) Authenticate(_ context.Context, c *broker.Connect) (broker.Identity, error) {
	if want, ok := a.Users[c.Username]; a.Users != nil && (!ok || want != string(c.Password)) {
		return broker.Identity{}, mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "refused by the test")
	}
	return broker.Identity{User: c.Username}, nil
}

// Exchange starts one of Methods.
func (a *Auth) Exchange(method string, c *broker.Connect) broker.Exchange {
	if start := a.Methods[method]; start != nil {
		return start(c)
	}
	return nil
}

// Authorize asks May.
func (a *Auth) Authorize(x *broker.Access) broker.Decision {
	if a.May == nil {
		return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
	}
	return a.May(x)
}

// Generation counts the calls of Change.
func (a *Auth) Generation() uint64 { return a.generation.Load() }

// Change says that May answers differently from now on.
func (a *Auth) Change() { a.generation.Add(1) }
