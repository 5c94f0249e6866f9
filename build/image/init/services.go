package main

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// lookEvery is how long mDNS may tell of services as they were before a
// reload; starts and ends of dunlin are seen at once. With a hundred devices a
// look takes dunlin 8 ms on a PC.
const lookEvery = time.Minute

// services keeps what mDNS tells of as dunlin serves it.
func (b *board) services(ctx context.Context) error {
	for {
		if !b.life.serves() {
			b.served.Store(nil)
		} else if doors, err := gatewayAPI.Doors(ctx); err == nil { // one that does not answer serves what it served
			all := announced(doors)
			b.served.Store(&all)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.life.changed:
		case <-time.After(lookEvery):
		}
	}
}

// servedNow is what mDNS tells of.
func (b *board) servedNow() []mdns.Service {
	if all := b.served.Load(); all != nil {
		return *all
	}
	return nil
}

// announced are the services behind the doors that other machines find. The
// names of MQTT are registered ones; MQTT in WebSocket has none.
func announced(doors []update.Door) (all []mdns.Service) {
	for _, d := range doors {
		addr := d.At.Addr().WithZone("")
		if addr.IsLoopback() {
			continue
		}
		s := mdns.Service{Port: d.At.Port()}
		if !addr.IsUnspecified() {
			s.Addr = addr
		}
		switch {
		case d.Kind == "page":
			s.Type = "_http._tcp"
		case d.Kind == "mqtt" && d.TLS:
			s.Type = "_secure-mqtt._tcp"
		case d.Kind == "mqtt":
			s.Type = "_mqtt._tcp"
		case d.TLS:
			s.Type, s.Text = "_mqtt-wss._tcp", "path="+d.Path
		default:
			s.Type, s.Text = "_mqtt-ws._tcp", "path="+d.Path
		}
		all = append(all, s)
	}
	return all
}
