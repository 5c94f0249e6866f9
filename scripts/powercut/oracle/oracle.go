package oracle

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// Away is the Client Identifier of the session that takes everything and whose
// client never comes back.
const Away = "away"

// Publisher is one of the machine's clients: it numbers its messages from 1.
type Publisher struct {
	Topic  string
	QoS    byte
	Always bool // what is acknowledged survives a power cut
	Retain bool
}

// Publishers are all of them.
var Publishers = [6]Publisher{
	{Topic: "always/one", QoS: 1, Always: true},
	{Topic: "always/two", QoS: 2, Always: true},
	{Topic: "always/kept", QoS: 1, Always: true, Retain: true},
	{Topic: "interval/one", QoS: 1},
	{Topic: "interval/two", QoS: 2},
	{Topic: "interval/kept", QoS: 1, Retain: true},
}

const size = 200 // of a payload, in bytes

// Payload is that of message n, which says what it is and that it is whole.
func (p *Publisher) Payload(n uint64) string {
	text := fmt.Sprintf("%d %s ", n, p.Topic)
	text += strings.Repeat(string(rune('a'+n%26)), size-9-len(text))
	return fmt.Sprintf("%s %08x", text, crc32.ChecksumIEEE([]byte(text)))
}

// Number returns which message a payload is; 0 if it is none of p.
func (p *Publisher) Number(payload string) uint64 {
	text, _, _ := strings.Cut(payload, " ")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || p.Payload(n) != payload {
		return 0
	}
	return n
}

// The disk: a file system, and a sector behind it for stamps; in bytes.
const (
	DiskSize  = 64 << 20
	FileSize  = 60 << 20
	StampAt   = FileSize
	StampSize = 512
)

const magic = 0x6475_6e6c_696e_2121

// Stamp says what had been acknowledged, and when.
type Stamp struct {
	After time.Duration // since the first
	Acked [len(Publishers)]uint64
}

// Put writes s to a sector.
func (s *Stamp) Put(sector []byte) {
	binary.LittleEndian.PutUint64(sector, magic)
	binary.LittleEndian.PutUint64(sector[8:], uint64(s.After))
	for i, n := range s.Acked {
		binary.LittleEndian.PutUint64(sector[16+8*i:], n)
	}
}

// Read reads a stamp; ok is false if it is none.
func Read(sector []byte) (s Stamp, ok bool) {
	if len(sector) < StampSize || binary.LittleEndian.Uint64(sector) != magic {
		return s, false
	}
	s.After = time.Duration(binary.LittleEndian.Uint64(sector[8:]))
	for i := range s.Acked {
		s.Acked[i] = binary.LittleEndian.Uint64(sector[16+8*i:])
	}
	return s, true
}
