package session

import (
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// excessFilters is how many Topic Filters are granted of a SUBSCRIBE that has
// more than a session may have: each may bring all that is retained.
const excessFilters = 100

// subscribe proposes one subscription a filter; Subscribed records those that
// the owner of the session allowed.
func (s *Session) subscribe(p *packet.View, out []Effect) ([]Effect, error) {
	var id uint32
	if len(p.Properties.SubscriptionIdentifiers) > 0 {
		id = p.Properties.SubscriptionIdentifiers[0]
	}
	most := s.limits.Subscriptions // also of filters that replace each other
	if len(p.Filters) > most {
		most = min(most, excessFilters)
	}
	for i := range p.Filters {
		f := &p.Filters[i]
		e := Effect{Kind: Subscribe, Subscription: mqtt.Subscription{
			Filter: string(f.Filter), QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: f.RetainHandling, Identifier: id,
		}}
		if s.params.AsBridge {
			e.Subscription.RetainAsPublished, e.Subscription.NoLocal = true, true
		}
		if topic.ValidFilter(e.Subscription.Filter) != nil {
			e.Reason = mqtt.TopicFilterInvalid
		} else if i >= most {
			e.Reason = mqtt.QuotaExceeded
		} else if _, _, shared := topic.Share(e.Subscription.Filter); shared && f.NoLocal {
			return out, mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.8.3-4", "No Local on a Shared Subscription")
		}
		out = append(out, e)
	}
	return append(out, Effect{Kind: Acknowledge, Type: packet.SUBACK, ID: p.ID}), nil
}

func (s *Session) unsubscribe(p *packet.View, out []Effect) []Effect {
	for i := range p.Filters {
		e := Effect{Kind: Unsubscribe, Subscription: mqtt.Subscription{Filter: string(p.Filters[i].Filter)}}
		if topic.ValidFilter(e.Subscription.Filter) != nil {
			e.Reason = mqtt.TopicFilterInvalid
		}
		out = append(out, e)
	}
	return append(out, Effect{Kind: Acknowledge, Type: packet.UNSUBACK, ID: p.ID})
}

// Subscribed adds or replaces a subscription [MQTT-3.8.4-3]. It reports
// whether one with the same Topic Filter existed; QuotaExceeded when the
// session has as many as it may have.
func (s *Session) Subscribed(sub mqtt.Subscription) (existed bool, code mqtt.ReasonCode) {
	existed = s.subs.find(sub.Filter) >= 0
	if !existed && s.subs.len() >= s.limits.Subscriptions {
		return false, mqtt.QuotaExceeded
	}
	s.subs.set(sub)
	return existed, mqtt.ReasonCode(sub.QoS)
}

// Unsubscribed removes a subscription and reports whether it existed.
func (s *Session) Unsubscribed(filter string) bool {
	return s.subs.remove(filter)
}

// Subscription returns the one with exactly this Topic Filter.
func (s *Session) Subscription(filter string) (mqtt.Subscription, bool) {
	i := s.subs.find(filter)
	if i < 0 {
		return mqtt.Subscription{}, false
	}
	return s.subs.list[i], true
}

// Subscriptions returns all subscriptions in no particular order.
func (s *Session) Subscriptions() []mqtt.Subscription {
	return slices.Clone(s.subs.list)
}
