package broker

import (
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// StoreStats are the counters and the state of the store.
type StoreStats = store.Stats

// Store describes the store; false when state is in memory only.
func (b *Broker) Store() (s StoreStats, durable bool) {
	if b.durable == nil {
		return s, false
	}
	return b.durable.Stats(), true
}

// Retained returns the retained messages that a Topic Filter matches, in no
// order. The messages must not be changed. The error is an *mqtt.Error.
func (b *Broker) Retained(filter string) ([]*mqtt.Message, error) {
	if err := topic.ValidFilter(filter); err != nil {
		return nil, err
	}
	return b.hub.router.Retained(time.Now(), filter), nil
}

// SocketUser names the system user at the other end of a Unix socket, as the
// kernel knows it; "" for other connections, and where it does not say.
func SocketUser(nc net.Conn) string { return listen.PeerOf(nc).SocketUser }
