package bridge

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Each message is published once, whatever two subscriptions bring between each
// other's copies: equal messages are as many as were sent.
func TestTwins(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var r twins
		payloads := make([]string, 100)
		for i := range payloads {
			payloads[i] = fmt.Sprint(rng.IntN(3))
		}
		published := map[string]int{}
		brings := func(i int, subs ...uint32) {
			in := inbound{topic: "a/b", payload: []byte(payloads[i]), subs: subs}
			if !r.second(&in) {
				r.first(&in)
				published[payloads[i]]++
			}
		}
		const apart = twinsKept / 2
		for one, other := 0, 0; one < len(payloads) || other < len(payloads); {
			switch ahead := one - other; {
			case one == other && one < len(payloads) && rng.IntN(4) == 0:
				brings(one, 1, 2) // some servers send one copy
				one, other = one+1, other+1
			case other == len(payloads), ahead < apart && one < len(payloads) && (ahead <= -apart || rng.IntN(2) == 0):
				brings(one, 1)
				one++
			default:
				brings(other, 2)
				other++
			}
		}
		sent := map[string]int{}
		for _, p := range payloads {
			sent[p]++
		}
		want(t, fmt.Sprint("published with seed ", seed), fmt.Sprint(published), fmt.Sprint(sent))
	}
}

func TestWhatIsNoTwin(t *testing.T) {
	message := func(topic, payload string, subs ...uint32) *inbound {
		return &inbound{topic: topic, payload: []byte(payload), subs: subs}
	}
	var r twins
	r.first(message("a/b", "12", 1))
	want(t, "copies", fmt.Sprint(
		r.second(message("a/c", "12", 2)),
		r.second(message("a/b", "13", 2)),
		r.second(message("a/b1", "2", 2)),
		r.second(message("a/b", "12")), // by a subscription that overlaps no other
		r.second(message("a/b", "12", 1)),
		r.second(message("a/b", "12", 2)),
		r.second(message("a/b", "12", 2, 3)), // a new one, of which the server sends one copy
		r.second(message("a/b", "12", 3)),
	), "false false false false false true false true")

	r.first(message("c", "1", 1))
	r.first(message("c", "1")) // takes no place
	for i := range twinsKept - 1 {
		r.first(message("d", fmt.Sprint(i), 1))
	}
	want(t, "the oldest that is kept is a copy", fmt.Sprint(r.second(message("c", "1", 2))), "true")
	r.first(message("d", "last", 1))
	want(t, "one more is not", fmt.Sprint(r.second(message("c", "1", 3))), "false")
}

func TestSubscriptionsThatOverlapInPartHaveIdentifiers(t *testing.T) {
	qos := func(q mqtt.QoS) *mqtt.QoS { return &q }
	var got []string
	for _, s := range subscriptions([]Route{
		{From: "a/+", QoS: qos(0)}, {From: "+/b", QoS: qos(1)}, {From: "c/#", QoS: qos(0)}, {From: "d/x"},
	}) {
		got = append(got, fmt.Sprint(s.Filter, " ", s.QoS, " ", s.Identifier))
	}
	want(t, "subscriptions", got, []string{"a/+ 1 1", "+/b 1 2", "c/# 1 3", "d/x 2 0"})
	got = nil
	for _, s := range subscriptions([]Route{{From: "e/#", Share: "g"}, {From: "#"}}) {
		got = append(got, fmt.Sprint(s.Filter, " ", s.Identifier))
	}
	want(t, "subscriptions, one of them shared", got, []string{"$share/g/e/# 0", "# 0"})
}
