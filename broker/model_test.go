package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// model is the dumbest broker: lists, and everything is done at once.
type model struct {
	clients  [4]modelClient
	retained map[string]string
}

type modelClient struct {
	conn    *brokertest.Client
	subs    map[string]modelSub
	waiting []string // what must come when it is back
	subID   int
}

type modelSub struct {
	qos     int
	noLocal bool
}

// TestRandomClientsAgainstTheModel lets four persistent clients connect, leave,
// subscribe and publish at random; after each step each of them must have
// received exactly what the model says, in any order across topics.
func TestRandomClientsAgainstTheModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func runModel(t *testing.T, r *rand.Rand) {
	b := brokertest.New(t)
	m := &model{retained: make(map[string]string)}
	for i := range m.clients {
		m.clients[i].subs = make(map[string]modelSub)
	}
	names := []string{"a", "a/b", "a/b/c", "b", "b/", "/b"}
	filters := []string{"#", "+", "a/#", "a/+", "+/b", "a/b", "/+", "b/+"}
	for n := range 150 {
		i := r.IntN(len(m.clients))
		c := &m.clients[i]
		if c.conn == nil {
			m.connect(b, i)
			m.check(t)
			continue
		}
		switch r.IntN(6) {
		case 0:
			c.conn.Close()
			c.conn = nil
		case 1:
			m.subscribe(c, filters[r.IntN(len(filters))], modelSub{qos: r.IntN(3), noLocal: r.IntN(3) == 0})
		case 2:
			m.unsubscribe(c, filters[r.IntN(len(filters))])
		default:
			payload := fmt.Sprint(n)
			if r.IntN(6) == 0 {
				payload = ""
			}
			m.publish(i, names[r.IntN(len(names))], payload, r.IntN(3), r.IntN(4) == 0)
		}
		synctest.Wait()
		m.check(t)
	}
}

func (m *model) connect(b *brokertest.Broker, i int) {
	c := &m.clients[i]
	c.conn = b.Client(mqtt.V5)
	c.conn.Send(fmt.Sprintf("CONNECT cid=c%d clean=0 se=3600", i))
}

func (m *model) subscribe(c *modelClient, filter string, s modelSub) {
	options := fmt.Sprint(s.qos)
	if s.noLocal {
		options += ",nl"
	}
	c.subID++
	c.conn.Send(fmt.Sprintf("SUBSCRIBE id=%d f=%s@%s", c.subID, filter, options))
	c.subs[filter] = s
	for name, payload := range m.retained {
		text, qos, publisher := splitRetained(payload)
		if topic.Match(filter, name) && !(s.noLocal && publisher == m.index(c)) {
			c.waiting = append(c.waiting, render(name, text, min(qos, s.qos), true))
		}
	}
}

func (m *model) unsubscribe(c *modelClient, filter string) {
	c.subID++
	c.conn.Send(fmt.Sprintf("UNSUBSCRIBE id=%d f=%s", c.subID, filter))
	delete(c.subs, filter)
}

func (m *model) publish(from int, name, payload string, qos int, retain bool) {
	c := &m.clients[from]
	c.subID++
	line := fmt.Sprintf("PUBLISH topic=%s payload=%s qos=%d", name, payload, qos)
	if qos > 0 {
		line += fmt.Sprintf(" id=%d", c.subID)
	}
	if retain {
		line += " retain=1"
		m.retained[name] = fmt.Sprintf("%s %d %d", payload, qos, from)
		if payload == "" {
			delete(m.retained, name)
		}
	}
	c.conn.Send(line)
	if qos == 2 {
		c.conn.Send(fmt.Sprintf("PUBREL id=%d", c.subID))
	}
	for i := range m.clients {
		to := &m.clients[i]
		best := -1
		for filter, s := range to.subs {
			if topic.Match(filter, name) && !(s.noLocal && i == from) {
				best = max(best, s.qos)
			}
		}
		if q := min(best, qos); best >= 0 && (to.conn != nil || q > 0) {
			to.waiting = append(to.waiting, render(name, payload, q, false))
		}
	}
}

// check lets every client that is there take what has come, acknowledging as
// it goes, and compares.
func (m *model) check(t *testing.T) {
	t.Helper()
	for i := range m.clients {
		c := &m.clients[i]
		if c.conn == nil {
			continue
		}
		got := c.take(t)
		slices.Sort(got)
		slices.Sort(c.waiting)
		if !slices.Equal(got, c.waiting) {
			t.Fatalf("client %d received %q, the model says %q", i, got, c.waiting)
		}
		c.waiting = nil
	}
}

func (c *modelClient) take(t *testing.T) (got []string) {
	t.Helper()
	for {
		synctest.Wait()
		p := c.conn.Pending()
		word, rest, _ := strings.Cut(p, " ")
		id, rest := cutID(rest)
		switch word {
		case "":
			return got
		case "PUBLISH":
			got = append(got, rest)
			if strings.Contains(rest, "qos=1") {
				c.conn.Send("PUBACK " + id)
			} else if strings.Contains(rest, "qos=2") {
				c.conn.Send("PUBREC " + id)
			}
		case "PUBREL":
			c.conn.Send("PUBCOMP " + id)
		case "closed", "DISCONNECT":
			t.Fatalf("the connection ended: %s", p)
		}
	}
}

func cutID(words string) (id, rest string) {
	if strings.HasPrefix(words, "id=") {
		id, rest, _ = strings.Cut(words, " ")
		return id, rest
	}
	return "", words
}

func (m *model) index(c *modelClient) int {
	for i := range m.clients {
		if &m.clients[i] == c {
			return i
		}
	}
	return -1
}

func splitRetained(s string) (payload string, qos, publisher int) {
	fmt.Sscanf(s, "%s %d %d", &payload, &qos, &publisher) // written by publish
	return payload, qos, publisher
}

func render(name, payload string, qos int, retain bool) string {
	s := fmt.Sprintf("topic=%s payload=%s qos=%d", name, payload, qos)
	if retain {
		s += " retain=1"
	}
	return s
}
