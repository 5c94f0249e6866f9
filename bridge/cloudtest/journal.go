package cloudtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// journal is the file of a Cloud that survives its own kill. A record is its
// size in four bytes and, in that many, a kind, the Client Identifier behind
// its size in two bytes, and what the kind has. It is written with one call
// before what it promises is acknowledged; a kill, which is not a power cut,
// leaves at most a torn tail.
type journal struct{ f *os.File }

// The kinds of records.
const (
	recSession = 's' // a new session in place of any other
	recMessage = 'm' // a PUBLISH packet of 5.0
	recRelease = 'r' // the identifier in two bytes
)

// openJournal hands every whole record to replay and goes on behind them.
func openJournal(path string, replay func(kind byte, client string, body []byte)) (*journal, error) {
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	whole := records(b, replay)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(whole)); err != nil {
		return nil, err
	}
	_, err = f.Seek(int64(whole), 0)
	return &journal{f}, err
}

// records calls f for each whole record and returns their bytes.
func records(b []byte, f func(kind byte, client string, body []byte)) (whole int) {
	for rest := b; len(rest) >= 4; {
		n := int(binary.BigEndian.Uint32(rest))
		if n < 3 || len(rest) < 4+n {
			break
		}
		r := rest[4 : 4+n]
		size := int(binary.BigEndian.Uint16(r[1:]))
		if n < 3+size {
			break
		}
		f(r[0], string(r[3:3+size]), r[3+size:])
		rest = rest[4+n:]
		whole = len(b) - len(rest)
	}
	return whole
}

// append writes one record; nil has no file.
func (j *journal) append(kind byte, client string, body []byte) {
	if j == nil {
		return
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(3+len(client)+len(body)))
	b = append(b, kind)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(client))), client...)
	if _, err := j.f.Write(append(b, body...)); err != nil {
		panic(fmt.Sprintf("cloudtest: journal: %v", err)) // a test cannot go on
	}
}

func (j *journal) session(client string) { j.append(recSession, client, nil) }

func (j *journal) message(m *Message) {
	if j == nil {
		return
	}
	h := packet.PublishHeader{ID: m.ID, QoS: m.QoS, Dup: m.Dup, Retain: m.Retain}
	j.append(recMessage, m.Client, packet.AppendPublish(nil, mqtt.V5, &m.Message, &h))
}

func (j *journal) released(client string, id uint16) {
	j.append(recRelease, client, binary.BigEndian.AppendUint16(nil, id))
}

func (j *journal) close() {
	if j != nil {
		_ = j.f.Close()
	}
}

// replay folds one record into the state.
func (c *Cloud) replay(kind byte, client string, body []byte) {
	s := c.mu.sessions[client]
	switch {
	case kind == recSession || s == nil:
		c.mu.sessions[client] = &session{id: client, received: map[uint16]bool{}}
	case kind == recRelease && len(body) == 2:
		delete(s.received, binary.BigEndian.Uint16(body))
	case kind == recMessage:
		if m, ok := journaled(client, body); ok {
			c.mu.got = append(c.mu.got, m)
			if m.QoS == mqtt.ExactlyOnce {
				s.received[m.ID] = true
			}
		}
	}
}

func journaled(client string, body []byte) (Message, bool) {
	var v packet.View
	if packet.Decode(body, mqtt.V5, &v) != nil {
		return Message{}, false
	}
	return Message{Message: v.Message(time.Now()), Client: client, ID: v.ID, Dup: v.Publish.Dup}, true
}

// readJournal returns the messages in a journal, also while its owner runs.
func readJournal(path string) ([]Message, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []Message
	records(b, func(kind byte, client string, body []byte) {
		if kind == recMessage {
			if m, ok := journaled(client, body); ok {
				out = append(out, m)
			}
		}
	})
	return out, nil
}
