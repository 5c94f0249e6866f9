package session

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestSubscriptionsAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s subscriptions
	model := make(map[string]mqtt.Subscription)
	for i := range 20000 {
		filter := fmt.Sprint(r.IntN(1 + i/100%30))
		if r.IntN(2) == 0 {
			sub := mqtt.Subscription{Filter: filter, Identifier: uint32(i)}
			s.set(sub)
			model[filter] = sub
		} else {
			_, want := model[filter]
			delete(model, filter)
			if got := s.remove(filter); got != want {
				t.Fatalf("remove(%s) = %v, want %v", filter, got, want)
			}
		}
		if s.len() != len(model) {
			t.Fatalf("%d subscriptions, want %d", s.len(), len(model))
		}
		for filter, want := range model {
			if i := s.find(filter); i < 0 || s.list[i] != want {
				t.Fatalf("%s is at %d", filter, i)
			}
		}
	}
}

func TestRingAgainstASlice(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q ring
	var model []SentID
	for i := range 50000 {
		if len(model) == 0 || r.IntN(100) < 30+i/1000%40 {
			id := SentID(i)
			if got := q.push(delivery{id: id}); got.id != id {
				t.Fatalf("push returned %d", got.id)
			}
			model = append(model, id)
		} else {
			k := r.IntN(len(model)) * r.IntN(2) // the head, mostly
			q.cut(k)
			model = append(model[:k], model[k+1:]...)
		}
		if q.len() != len(model) {
			t.Fatalf("%d deliveries, want %d", q.len(), len(model))
		}
		for k := range min(len(model), 5) {
			if got := q.at(k).id; got != model[k] {
				t.Fatalf("delivery %d is %d, want %d", k, got, model[k])
			}
		}
		if n := len(model); n > 0 && q.at(n-1).id != model[n-1] {
			t.Fatal("the last is another")
		}
	}
}
