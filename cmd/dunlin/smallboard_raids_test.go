//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// raider is one wave of an attack; what it opened is closed at its end.
type raider struct {
	s    *victim
	ctx  context.Context
	name string
	open []net.Conn
}

// client connects one more client; nil when it is not let in.
func (r *raider) client(v mqtt.Version, n int, words string) *attacker {
	a := r.dial(v)
	if a == nil {
		return nil
	}
	a.send(fmt.Sprintf("CONNECT cid=%s-%d %s", r.name, n, words))
	if got := a.receive(); !strings.HasPrefix(got, "CONNACK") || !strings.Contains(got, " rc=0x00") {
		return nil
	}
	return a
}

// clients connects up to n of them.
func (r *raider) clients(v mqtt.Version, n int, words string) (all []*attacker) {
	for i := range n {
		if a := r.client(v, i, words); a != nil && r.ctx.Err() == nil {
			all = append(all, a)
		}
	}
	return all
}

// end waits, holding what there is, and closes it.
func (r *raider) end(hold time.Duration) {
	pause(r.ctx, hold)
	for _, nc := range r.open {
		nc.Close()
	}
}

// raids64 are the attacks that make a server hold memory.
func raids64() map[string]func(*raider) {
	big := strings.Repeat("x", 60_000)
	return map[string]func(*raider){
		"01": func(r *raider) { // connections without a byte
			for range 100 {
				r.dial(mqtt.V5)
			}
			r.end(2 * time.Second)
		},
		"02": func(r *raider) { // a huge first packet of which little comes
			for range 60 {
				if a := r.dial(mqtt.V5); a != nil {
					a.write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, []byte(big))
				}
				if a := r.dial(mqtt.V5); a != nil {
					a.write(frame(0x10, field("MQTT"), []byte{5, 2, 0, 60, 0}, []byte(strings.Repeat("y", 200_000)))[:60_000])
				}
			}
			r.end(2 * time.Second)
		},
		"03": func(r *raider) { // CONNECT, a byte at a time
			a := r.dial(mqtt.V5)
			for _, b := range rawConnect(2, props(), field("slow")) {
				if a == nil || r.ctx.Err() != nil {
					break
				}
				a.write([]byte{b})
				pause(r.ctx, 200*time.Millisecond)
			}
			r.end(0)
		},
		"04": func(r *raider) { // fields as long as they can be
			for range 50 {
				if a := r.dial(mqtt.V5); a != nil {
					a.write(rawConnect(0xc6, props(), field(big), props(), field("t"), field(big), field(big), field(big)))
				}
			}
			r.end(time.Second)
		},
		"16": func(r *raider) { // User Properties without end
			user := slices.Concat([]byte{38}, field("n"), field("v"))
			for _, a := range r.clients(mqtt.V5, 10, "") {
				a.write(frame(0x32, field("t"), u16(1), props(slices.Repeat(user, 30_000))))
			}
			r.end(time.Second)
		},
		"22": func(r *raider) { // deep topics
			if a := r.client(mqtt.V5, 0, ""); a != nil {
				for i := range 300 {
					a.send(fmt.Sprintf("PUBLISH topic=raid/%s/%d%s payload=x retain=1", r.name, i, strings.Repeat("/l", 12)))
				}
				a.settled()
			}
			r.end(0)
		},
		"23": func(r *raider) { // more and more retained topics
			if a := r.client(mqtt.V311, 0, ""); a != nil {
				for i := range 500 {
					a.send(fmt.Sprintf("PUBLISH topic=raid/%s/%d payload=%s retain=1", r.name, i, big[:200]))
				}
				a.settled()
			}
			r.end(0)
		},
		"24": func(r *raider) { // retained messages, small and large in turn
			if a := r.client(mqtt.V5, 0, ""); a != nil {
				for i := range 100 {
					a.send(fmt.Sprintf("PUBLISH topic=raid/swing/%d payload=%s retain=1", i%20, big[:256+i%2*50_000]))
				}
				a.settled()
			}
			r.end(0)
		},
		"28": func(r *raider) { // subscriptions by the hundred
			for _, a := range r.clients(mqtt.V5, 20, "se=100") {
				for i := range 5 {
					var f strings.Builder
					for j := range 90 {
						fmt.Fprintf(&f, " f=+/+/+/%d/%d@1", i, j)
					}
					a.send("SUBSCRIBE id=1" + f.String())
				}
			}
			r.end(time.Second)
		},
		"29": func(r *raider) { // everybody wants everything
			for _, a := range r.clients(mqtt.V5, 60, "") {
				a.send("SUBSCRIBE id=1 f=#@0 f=raid/#@1")
			}
			r.flood("raid/live/x", big[:1000], 300)
			r.end(time.Second)
		},
		"30": func(r *raider) { // QoS 2 that is never released
			for _, a := range r.clients(mqtt.V311, 10, "clean=0") {
				for i := range 3000 {
					a.send(fmt.Sprintf("PUBLISH topic=q qos=2 id=%d payload=x", i+1))
				}
			}
			r.end(time.Second)
		},
		"35": func(r *raider) { // sessions that never end
			for i := range 100 {
				if a := r.client(mqtt.V5, i, "clean=1 se=0xFFFFFFFF will=w:"+big[:5000]); a != nil {
					a.send("SUBSCRIBE id=1 f=raid/live/#@1")
					a.nc.Close()
				}
			}
			r.end(0)
		},
		"84": func(r *raider) { // subscribers that never read
			for n := range 40 {
				a := r.client(mqtt.V5, n, "")
				if a == nil || r.ctx.Err() != nil {
					break
				}
				a.nc.(*net.TCPConn).SetReadBuffer(4096)
				topic := fmt.Sprintf("raid/live/%s/%d", r.name, n)
				a.send(fmt.Sprintf("SUBSCRIBE id=1 f=%s@%d", topic, n%2))
				r.flood(topic, big[:4000], 500)
			}
			r.end(0)
		},
	}
}

// flood publishes with QoS 1 and waits for nothing.
func (r *raider) flood(topic, payload string, n int) {
	a := r.client(mqtt.V311, 9999, "")
	for i := range n {
		if a == nil || r.ctx.Err() != nil {
			return
		}
		a.send(fmt.Sprintf("PUBLISH topic=%s qos=1 id=%d payload=%s", topic, i+1, payload))
	}
}

// settled waits a little for an answer, or for the end.
func (a *attacker) settled() {
	a.send("PINGREQ")
	for got := ""; got != "closed" && got != "silence" && got != "PINGRESP"; {
		got = a.receive()
	}
}
