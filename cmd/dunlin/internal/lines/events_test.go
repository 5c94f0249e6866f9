package lines

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsOfEachClient(t *testing.T) {
	var e Events
	for i := range 50 {
		e.Add("a", "subscribed", fmt.Sprint(i))
	}
	for range 7 {
		e.Add("a", "denied", "publish to x")
	}
	got := e.Of("a")
	if len(got) != ofClient || got[ofClient-1].Count != 7 || got[0].Text != "31" || got[ofClient-2].Text != "49" {
		t.Errorf("%+v", got)
	}
	if len(e.Of("b")) != 0 {
		t.Error("events of a client that has none")
	}
}

// Those who are never let in cannot make the gateway forget those who are.
func TestEventsOfUnknownClientsDriveOutNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Events
		e.Add("sensor", "connected", "")
		for i := range 10_000 {
			time.Sleep(time.Millisecond)
			e.Add(fmt.Sprint("guess ", i), "refused", "")
		}
		if len(e.Of("sensor")) != 1 || len(e.clients) != maxUnknown+1 || len(e.Of("guess 9999")) != 1 {
			t.Errorf("%d clients are known", len(e.clients))
		}
		e.Add("guess 9999", "connected", "")
		if e.unknown.n != maxUnknown-1 {
			t.Errorf("%d unknown clients, one of %d was let in", e.unknown.n, maxUnknown)
		}
	})
}

// The queues against a model that searches: what is counted is what is there,
// and who was silent longest goes first.
func TestEventsKeepTheirLimit(t *testing.T) {
	var e Events
	type client struct {
		n    int // events
		in   bool
		last int
	}
	model := map[string]*client{}
	oldest := func(now string, which func(*client) bool) {
		id := ""
		for i, c := range model {
			if i != now && which(c) && (id == "" || c.last < model[id].last) {
				id = i
			}
		}
		delete(model, id)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 12_000 {
		id, what := fmt.Sprint(random.IntN(700)), []string{"connected", "refused", "refused", "denied"}[random.IntN(4)]
		e.Add(id, what, fmt.Sprint(i))
		c := model[id]
		if c == nil {
			c = &client{}
			model[id] = c
		}
		c.n, c.last = min(c.n+1, ofClient), i
		c.in = c.in || what != "refused"
		count, unknown := 0, 0
		for _, c := range model {
			count += c.n
			if !c.in {
				unknown++
			}
		}
		if count > inAll {
			oldest(id, func(*client) bool { return true })
		}
		if unknown > maxUnknown {
			oldest(id, func(c *client) bool { return !c.in })
		}
	}
	count, unknown := 0, 0
	for id, c := range model {
		if len(e.Of(id)) != c.n {
			t.Errorf("%d events of %s, want %d", len(e.Of(id)), id, c.n)
		}
		count += c.n
		if !c.in {
			unknown++
		}
	}
	if len(e.clients) != len(model) || e.known.n != len(model)-unknown || e.unknown.n != unknown || count != e.count || count < inAll/2 {
		t.Errorf("%d clients, %d of them known, %d events; want %d, %d, %d", len(e.clients), e.known.n, e.count, len(model), len(model)-unknown, count)
	}
}
