package store

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Room is memory for what ReadTo reads, used again for the next.
type Room struct {
	// Lends says that messages are good until the next use: who reads copies
	// them, but may keep what they point to.
	Lends    bool
	entries  []Entry
	messages []mqtt.Message // that are lent; as many as entries
	texts    texts
}

// Clear forgets what was read.
func (r *Room) Clear() {
	clear(r.entries)
	clear(r.messages)
}

// read takes an entry of a spill file that is behind the others.
func (r *Room) read(body []byte) (err error) {
	var e Entry
	if r.Lends {
		c := reader(body, &r.texts)
		r.messages = append(r.messages, mqtt.Message{})
		e, err = c.spilled(&r.messages[len(r.messages)-1])
	} else {
		c := reader(body, nil)
		e, err = c.spilled(new(mqtt.Message))
	}
	r.entries = append(r.entries, e)
	return err
}

// batch returns what was read.
func (r *Room) batch() []Entry {
	for i := range r.messages {
		r.entries[i].Message = &r.messages[i] // they have moved as they became more
	}
	return r.entries
}

// texts is where strings and payloads that are read go to: topics repeat, and
// many small payloads are in one piece of memory, which is free when all are.
type texts struct {
	names [16]string
	piece []byte
}

const (
	pieceSize   = 16 << 10
	pieceLength = 1 << 10 // of a payload in a piece, at most
	nameLength  = 256     // of a string that is remembered, at most
)

func (t *texts) name(b []byte) string {
	if len(b) == 0 || len(b) > nameLength {
		return string(b)
	}
	hash := uint(0)
	for _, c := range b {
		hash = hash*31 + uint(c)
	}
	name := &t.names[hash%uint(len(t.names))]
	if *name != string(b) {
		*name = string(b)
	}
	return *name
}

func (t *texts) payload(b []byte) []byte {
	if len(b) == 0 || len(b) > pieceLength {
		return append([]byte(nil), b...)
	}
	if len(b) > cap(t.piece)-len(t.piece) {
		t.piece = make([]byte, 0, pieceSize)
	}
	begin := len(t.piece)
	t.piece = append(t.piece, b...)
	return t.piece[begin:len(t.piece):len(t.piece)]
}
