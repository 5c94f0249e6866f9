//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// versions are those that the server speaks.
var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// A. Before authentication.
func attacksBeforeConnect() []attack {
	return []attack{
		{number: 1, name: "thousands of connections without a byte", run: silentConnections},
		{number: 2, name: "first packets that claim to be large", run: largeClaims},
		{number: 3, name: "CONNECT byte by byte", run: slowConnect},
		{number: 4, name: "CONNECT with fields of 64 KB", run: largeConnectFields},
		{number: 5, name: "every other packet first", run: otherPacketsFirst},
		{number: 6, name: "packets that only a server sends", run: serverPackets},
		{number: 7, name: "a second CONNECT", run: secondConnect},
		{number: 8, name: "Client Identifiers that are not allowed", run: illegalClientIDs},
		{number: 9, name: "Keep Alive 0 or 65535 and then silence", run: endlessKeepAlive},
		{number: 10, name: "a flood of wrong passwords", run: passwordFlood},
	}
}

func silentConnections(t *testing.T) {
	s := attackOpen(t)
	begin := time.Now()
	var silent []*attacker
	for range scale(500, 5000) {
		silent = append(silent, s.dial(mqtt.V5))
	}
	flooded := time.Now()
	var legit *attacker
	eventually(t, 2*time.Second, "place for a client that says CONNECT", func() bool {
		legit = s.dial(mqtt.V311)
		legit.send("CONNECT cid=legit")
		return legit.receive() == "CONNACK sp=0 rc=0x00"
	})
	t.Logf("the legitimate client was served after %s", time.Since(flooded))
	eventually(t, 20*time.Second, "limit of 64 connections before CONNECT", func() bool { return s.fds() <= s.baseFDs+64+1 })
	time.Sleep(time.Until(begin.Add(9 * time.Second)))
	eventually(t, 20*time.Second, "end of those that say nothing for 10 s", func() bool { return s.fds() <= s.baseFDs+1 })
	legit.alive()
	for _, a := range silent {
		a.gone()
	}
}

func largeClaims(t *testing.T) {
	s := attackOn(t, victimOptions{config: open + "memory: {limit: 40MiB, budget: 16MiB}\n", budget: 32 << 20})
	large := []byte{0xFF, 0xFF, 0xFF, 0x7F}
	for first := range 16 {
		a := s.dial(mqtt.V5)
		a.write([]byte{byte(first) << 4}, large)
		a.gone() // at the header: nothing else was sent
	}
	for range scale(100, 400) {
		a := s.dial(mqtt.V5)
		a.write([]byte{0x10}, large, make([]byte, 60_000))
	}
	for range scale(100, 400) { // a size that the limit on packets admits
		a := s.dial(mqtt.V5)
		a.write([]byte{0x10}, varint(200_000), field("MQTT"), []byte{5, 2, 0, 60}, make([]byte, 60_000))
	}
}

func slowConnect(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	begin := time.Now()
	a.patient = 500 * time.Millisecond
	for _, b := range rawConnect(2, props(), field(strings.Repeat("x", 200))) {
		a.write([]byte{b})
		if a.receive() == "closed" {
			break
		}
	}
	if took := time.Since(begin); took < 9*time.Second || took > time.Duration(scale(60, 20))*time.Second {
		t.Errorf("closed after %s, want 10 s from the start, not from the last byte", took)
	}
}

func largeConnectFields(t *testing.T) {
	s := attackOpen(t)
	huge := strings.Repeat("x", 65_000)
	for name, packet := range map[string][]byte{
		"client id":     rawConnect(2, props(), field(huge)),
		"client id 257": rawConnect(2, props(), field(huge[:257])),
		"user":          rawConnect(0x82, props(), field("c"), field(huge)),
		"password":      rawConnect(0xC2, props(), field("c"), field("u"), field(huge)),
		"will topic":    rawConnect(0x06, props(), field("c"), props(), field(huge), field("")),
	} {
		a := s.dial(mqtt.V5)
		a.write(packet)
		if last := a.last(); !strings.HasPrefix(last, "CONNACK sp=0 rc=0x8") && !strings.HasPrefix(last, "CONNACK sp=0 rc=0x9") && last != "closed" {
			t.Errorf("%s: %s", name, last)
		}
	}
	limit := s.dial(mqtt.V5)
	limit.connect("cid=" + huge[:256])
}

func otherPacketsFirst(t *testing.T) {
	s := attackOpen(t)
	for _, v := range versions {
		for first := range 16 {
			if first == 1 {
				continue
			}
			for _, flags := range []byte{0, 2} {
				a := s.dial(v)
				a.write([]byte{byte(first)<<4 | flags, 2, 0, 1})
				if last := a.last(); last != "closed" {
					t.Errorf("%s: packet type %d first was answered with %s", v, first, last)
				}
			}
		}
	}
}

func serverPackets(t *testing.T) {
	s := attackOpen(t)
	for _, v := range versions {
		for what, packet := range map[string][]byte{
			"CONNACK":  {0x20, 2, 0, 0},
			"SUBACK":   {0x90, 3, 0, 1, 0},
			"UNSUBACK": {0xB0, 2, 0, 1},
			"PINGRESP": {0xD0, 0},
		} {
			if v == mqtt.V5 && (packet[0] == 0x20 || packet[0] == 0x90) {
				packet = append(packet[:len(packet):len(packet)], 0) // properties
				packet[1]++
			}
			a := s.dial(v)
			a.connect("cid=" + what)
			a.write(packet)
			a.closedWith(mqtt.ProtocolError, mqtt.MalformedPacket)
		}
	}
}

func secondConnect(t *testing.T) {
	s := attackOpen(t)
	for _, v := range versions {
		watch := s.dial(mqtt.V5)
		watch.connect("cid=watch")
		watch.send("SUBSCRIBE id=1 f=will/#@0")
		watch.expect("SUBACK id=1 ...")
		a := s.dial(v)
		a.connect("cid=twice will=will/twice:gone")
		a.send("CONNECT cid=twice")
		a.closedWith(mqtt.ProtocolError)
		watch.expect("PUBLISH topic=will/twice payload=gone ...")
	}
}

func illegalClientIDs(t *testing.T) {
	s := attackOpen(t)
	for _, v := range versions[:2] { // the answer of old versions: code 2 [MQTT311-3.1.3-8]
		a := s.dial(v)
		a.send("CONNECT cid= clean=0")
		if last := a.last(); !hasCode(last, mqtt.ClientIdentifierNotValid) && !hasCode(last, 2) {
			t.Errorf("%s: %s", v, last)
		}
	}
	for _, id := range []string{"\xFF\xFE", "a\x00b", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80", "ab\xC3"} {
		for _, packet := range [][]byte{
			frame(0x10, field("MQTT"), []byte{4, 2, 0, 60}, field(id)),
			frame(0x10, field("MQIsdp"), []byte{3, 2, 0, 60}, field(id)),
			rawConnect(2, props(), field(id)),
		} {
			a := s.dial(mqtt.V5)
			a.write(packet)
			a.gone()
		}
	}
}

func endlessKeepAlive(t *testing.T) {
	s := attackOn(t, victimOptions{config: strings.Replace(open, "connect_rate: 0/s", "connect_rate: 0/s, keep_alive_max: 2s, connections: 300", 1)})
	for i := range scale(100, 250) {
		a := s.dial(mqtt.V5)
		a.send(fmt.Sprintf("CONNECT cid=silent-%d ka=%d", i, i%2*65535))
		a.expect("CONNACK rc=0x00 ska=2 ...")
	}
	eventually(t, 6*time.Second, "end of those that stay silent", func() bool { return s.fds() <= s.baseFDs })
	var kept int
	for i := range 400 { // versions that cannot be told are bounded by their number
		a := s.dial(mqtt.V311)
		a.send(fmt.Sprintf("CONNECT cid=old-%d ka=65535", i))
		if a.receive() == "CONNACK sp=0 rc=0x00" {
			kept++
		}
	}
	if kept < 200 || kept > 300 {
		t.Errorf("%d connections are kept, want the limit of 300 less those that are there", kept)
	}
}
