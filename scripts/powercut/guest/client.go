package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

const (
	address = "127.0.0.1:1883"
	window  = 16                   // messages of a publisher that are not acknowledged
	pace    = 5 * time.Millisecond // from one message of a publisher to the next
	phase   = 2 * time.Second
)

// Packets of MQTT 3.1.1, by their first byte.
const (
	connect    = 0x10
	publish    = 0x30
	puback     = 0x40
	pubrec     = 0x50
	pubrel     = 0x62
	pubcomp    = 0x70
	subscribe  = 0x82
	disconnect = 0xE0
)

type client struct {
	c net.Conn
	r *bufio.Reader
}

// dial connects as id; clean says that its session ends with the connection.
func dial(id string, clean bool) (*client, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	k := &client{c, bufio.NewReader(c)}
	flags := byte(0)
	if clean {
		flags = 2
	}
	err = k.write(connect, append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0, 0, byte(len(id))}, id...))
	if err == nil {
		var body []byte
		if _, body, err = k.read(); err == nil && body[1] != 0 {
			err = fmt.Errorf("%s: CONNACK %d", id, body[1])
		}
	}
	return k, err
}

func (k *client) write(first byte, body []byte) error {
	out := []byte{first}
	for n := len(body); ; n >>= 7 {
		if n < 128 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|128)
	}
	_, err := k.c.Write(append(out, body...))
	return err
}

func (k *client) read() (first byte, body []byte, err error) {
	if first, err = k.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(k.r) // the same as MQTT's, for what is that short
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(k.r, body)
	return first, body, err
}

// subscribe asks for filter with QoS 2.
func (k *client) subscribe(filter string) error {
	err := k.write(subscribe, append(append([]byte{0, 1, 0, byte(len(filter))}, filter...), 2))
	if err == nil {
		_, _, err = k.read()
	}
	return err
}

// play has a session whose client is away, one whose client takes everything,
// and the publishers.
func play(failed chan<- error) error {
	away, err := dial(oracle.Away, false)
	if err != nil {
		return err
	}
	if err := away.subscribe("#"); err != nil {
		return err
	}
	if err := away.write(disconnect, nil); err != nil {
		return err
	}
	away.c.Close()
	here, err := dial("here", false)
	if err != nil {
		return err
	}
	if err := here.subscribe("#"); err != nil {
		return err
	}
	go func() { failed <- fmt.Errorf("the subscriber: %w", here.take()) }() // all end with the machine
	var acked [len(oracle.Publishers)]atomic.Uint64
	for i := range oracle.Publishers {
		k, err := dial(fmt.Sprintf("publisher-%d", i), true)
		if err != nil {
			return err
		}
		slots := make(chan struct{}, window)
		go func() { failed <- k.publish(&oracle.Publishers[i], slots) }()
		go func() {
			failed <- fmt.Errorf("publisher %d: %w", i, k.acknowledged(slots, &acked[i]))
		}()
	}
	return stamp(&acked, failed)
}

// take acknowledges all that comes.
func (k *client) take() error {
	for {
		first, body, err := k.read()
		if err != nil {
			return err
		}
		switch {
		case first&0xF0 == publish && first&6 > 0:
			at := 2 + int(body[1]) // topics are short
			reply := byte(puback)
			if first&6 == 4 {
				reply = pubrec
			}
			err = k.write(reply, body[at:at+2])
		case first == pubrel:
			err = k.write(pubcomp, body)
		}
		if err != nil {
			return err
		}
	}
}

func identifier(n uint64) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n%65000+1)) }

// publish sends one message after the other. Class always is quiet half of the
// time: its syncs take with them what waits for the interval.
func (k *client) publish(p *oracle.Publisher, slots chan<- struct{}) error {
	begin := time.Now()
	first := byte(publish | p.QoS<<1)
	if p.Retain {
		first |= 1
	}
	for n := uint64(1); ; n++ {
		slots <- struct{}{}
		body := append([]byte{0, byte(len(p.Topic))}, p.Topic...)
		body = append(append(body, identifier(n)...), p.Payload(n)...)
		if err := k.write(first, body); err != nil {
			return err
		}
		time.Sleep(pace)
		for p.Always && time.Since(begin)%(2*phase) > phase {
			time.Sleep(pace)
		}
	}
}

// acknowledged reads what the server promises: it does so in order.
func (k *client) acknowledged(slots <-chan struct{}, acked *atomic.Uint64) error {
	for {
		first, body, err := k.read()
		if err != nil {
			return err
		}
		switch first {
		case puback, pubrec:
			n := acked.Load() + 1
			if string(body) != string(identifier(n)) {
				return fmt.Errorf("an acknowledgement of %x where %x is due", body, identifier(n))
			}
			acked.Store(n)
			if first == puback {
				<-slots
				continue
			}
			err = k.write(pubrel, body)
		case pubcomp:
			<-slots
		}
		if err != nil {
			return err
		}
	}
}
