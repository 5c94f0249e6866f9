package conn

import (
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// subscribe judges one Topic Filter of SUBSCRIBE. An error ends the
// connection: the client uses what CONNACK said is not available.
func (c *Conn) subscribe(now time.Time, e *session.Effect) (mqtt.ReasonCode, error) {
	if e.Reason == mqtt.TopicFilterInvalid {
		return c.decline(e.Reason, "a Topic Filter is not valid"), nil
	}
	_, filter, shared := topic.Share(e.Subscription.Filter)
	if no := c.subscribable(&e.Subscription, filter, shared); no != nil {
		if c.version() == mqtt.V5 {
			return 0, no
		}
		return c.decline(no.Code, no.Msg), nil
	}
	if c.fits(filter) != nil {
		return c.decline(mqtt.TopicFilterInvalid, "a Topic Filter is longer or deeper than the server takes"), nil
	}
	if e.Reason.Failed() {
		return c.decline(e.Reason, "no more subscriptions"), nil
	}
	// A client that cannot publish with a QoS may still ask for it
	// [MQTT-3.2.2-10]; it is granted what there is.
	e.Subscription.Filter = c.inside(e.Subscription.Filter)
	e.Subscription.QoS = min(e.Subscription.QoS, c.cfg.Features.MaxQoS)
	code := c.cfg.Router.Subscribe(now, c, e.Subscription)
	switch {
	case code == mqtt.NotAuthorized:
		c.decline(code, "not authorized to subscribe")
	case code.Failed():
		c.decline(code, "no more subscriptions")
	default:
		c.recorded = c.recorded || c.peer.Durable()
	}
	return code, nil
}

// grant keeps messages back until SUBACK has left. It may come after what the
// subscription brings [MQTT-3.8.4], yet clients that do not expect it are many,
// and a SUBACK that waits for the disk would always do so.
func (c *Conn) grant() { c.granting.Add(1) }

// subscribable holds a subscription to the features.
func (c *Conn) subscribable(s *mqtt.Subscription, filter string, shared bool) *mqtt.Error {
	f := &c.cfg.Features
	switch {
	case shared && !f.Shared:
		return mqtt.Errorf(mqtt.SharedSubscriptionsNotSupported, "MQTT-3.2.2.3.13", "Shared Subscriptions are off")
	case s.Identifier != 0 && !f.SubscriptionIdentifiers:
		return mqtt.Errorf(mqtt.SubscriptionIdentifiersNotSupported, "MQTT-3.2.2.3.12", "Subscription Identifiers are off")
	case !f.Wildcard && strings.ContainsAny(filter, "+#"):
		return mqtt.Errorf(mqtt.WildcardSubscriptionsNotSupported, "MQTT-3.2.2.3.11", "wildcards in Topic Filters are off")
	}
	return nil
}

func (c *Conn) unsubscribe(e *session.Effect) mqtt.ReasonCode {
	if e.Reason.Failed() {
		return c.decline(e.Reason, "a Topic Filter is not valid")
	}
	code := c.cfg.Router.Unsubscribe(c, c.inside(e.Subscription.Filter))
	c.recorded = c.recorded || code == mqtt.Success && c.peer.Durable()
	return code
}

// decline keeps the first reason for the Reason String of SUBACK or UNSUBACK.
func (c *Conn) decline(code mqtt.ReasonCode, why string) mqtt.ReasonCode {
	if c.why == "" {
		c.why = why
	}
	return code
}
