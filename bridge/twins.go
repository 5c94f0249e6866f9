package bridge

import (
	"hash/maphash"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// identify gives Subscription Identifiers to subscriptions of which two may match
// one topic: many servers send a message once for each of them [MQTT-3.3.4-5]. All
// copies come with the highest QoS of them, since the first is the one that counts.
// What a shared subscription brings is no copy: others of its group may have got
// what another brought.
func identify(subs []mqtt.Subscription) {
	asked := slices.Clone(subs)
	for i, s := range asked {
		for j, o := range asked {
			if i != j && !shared(s) && !shared(o) && topic.Overlap(s.Filter, o.Filter) {
				subs[i].Identifier = uint32(i + 1)
				subs[i].QoS = max(subs[i].QoS, o.QoS)
			}
		}
	}
}

func shared(s mqtt.Subscription) bool {
	_, _, is := topic.Share(s.Filter)
	return is
}

// twins find the copies of a message that several subscriptions have brought. A
// copy has the identifier of its subscription, and each subscription brings one: so
// an equal message is a copy if it comes by another subscription, and a new message
// if it comes by one that has brought it before. A server may as well send one copy with
// all identifiers [MQTT-3.3.4-4].
type twins struct {
	seed   maphash.Seed
	recent [twinsKept]twin
	next   int // the oldest
}

// twinsKept is how many messages may lie between copies.
const twinsKept = 32

// twin is a message that was published here.
type twin struct {
	sum uint64
	by  []uint32 // the subscriptions that brought it; none: the place is free
}

// second reports whether in is a copy of a message that was published, and notes
// that it came.
func (t *twins) second(in *inbound) bool {
	if len(in.subs) == 0 {
		return false
	}
	sum := t.sum(in)
	for i := range t.recent {
		o := &t.recent[(t.next+i)%twinsKept]
		brought := func(id uint32) bool { return slices.Contains(o.by, id) }
		if len(o.by) > 0 && o.sum == sum && !slices.ContainsFunc(in.subs, brought) {
			o.by = append(o.by, in.subs...)
			return true
		}
	}
	return false
}

// first notes a message that was published.
func (t *twins) first(in *inbound) {
	if len(in.subs) > 0 {
		t.recent[t.next] = twin{t.sum(in), in.subs}
		t.next = (t.next + 1) % twinsKept
	}
}

func (t *twins) sum(in *inbound) uint64 {
	if t.seed == (maphash.Seed{}) {
		t.seed = maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(t.seed)
	_, _ = h.WriteString(in.topic) // never fails, here and below
	_ = h.WriteByte(0)
	_, _ = h.Write(in.payload)
	return h.Sum64()
}
