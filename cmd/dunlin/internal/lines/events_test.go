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
func TestEventsOfStrangersDriveOutNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Events
		e.Add("sensor", "connected", "")
		for i := range 10_000 {
			time.Sleep(time.Millisecond)
			e.Add(fmt.Sprint("guess ", i), "refused", "")
		}
		if len(e.Of("sensor")) != 1 || len(e.clients) != strangers+1 || len(e.Of("guess 9999")) != 1 {
			t.Errorf("%d clients are known", len(e.clients))
		}
		e.Add("guess 9999", "connected", "")
		if e.unknown != strangers-1 {
			t.Errorf("%d strangers, one of %d was let in", e.unknown, strangers)
		}
	})
}

// What is counted is what is there, whatever happens.
func TestEventsKeepTheirLimit(t *testing.T) {
	var e Events
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		e.Add(fmt.Sprint(random.IntN(700)), []string{"connected", "refused", "refused", "denied"}[random.IntN(4)], fmt.Sprint(random.IntN(9)))
	}
	count, unknown := 0, 0
	for _, list := range e.clients {
		count += len(list)
		if stranger(list) {
			unknown++
		}
	}
	if count > inAll || count != e.count || unknown != e.unknown || count < inAll/2 {
		t.Errorf("%d events and %d strangers, counted %d and %d", count, unknown, e.count, e.unknown)
	}
}
