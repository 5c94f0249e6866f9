package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// An RTU answer to a read says its function and its number of bytes, not its
// address. So a read whose answer looks like one that the unit still owes is not
// made before another one, of a different shape, was answered: units answer in
// order, so what they owed is then behind. That holds however late they are.

// maxOwed is for how long a unit may send what it owes, and remember how many
// shapes: a silent unit is asked eight times a minute at most.
const (
	maxOwed  = time.Minute
	remember = 16
)

// shape is what tells the answers to reads apart.
type shape struct {
	function byte
	bytes    int
}

// debt is an answer that has not come.
type debt struct {
	shape
	until time.Time
}

// owe notes that pdu was not answered. Writes are not: their answers say what
// was written.
func (u *unit) owe(pdu []byte) {
	if pdu[0] > tables[Input].read {
		return
	}
	if len(u.debts) == remember {
		u.debts = append(u.debts[:0], u.debts[1:]...)
	}
	u.debts = append(u.debts, debt{shape{pdu[0], readBytes(pdu)}, time.Now().Add(maxOwed)})
}

// owes reports whether what the unit owes could be taken for the answer to pdu.
func (u *unit) owes(pdu []byte) bool {
	if pdu[0] > tables[Input].read {
		return false
	}
	want := shape{pdu[0], readBytes(pdu)}
	for _, d := range u.debts {
		if d.shape == want && time.Now().Before(d.until) {
			return true
		}
	}
	return false
}

// distinct is a read with an answer that is none of those owed: of fewer
// entries of what pdu reads, or of more where there are no fewer.
func (u *unit) distinct(pdu []byte) []byte {
	address, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	step, most := 1, Holding.MaxRead()
	if pdu[0] <= tables[Discrete].read {
		step, most = 8, Coils.MaxRead() // a byte
	}
	probe := append([]byte(nil), pdu...)
	for n := count - step; n > 0; n -= step {
		binary.BigEndian.PutUint16(probe[3:], uint16(n))
		if !u.owes(probe) {
			return probe
		}
	}
	for n := count + step; n <= most && address+n <= 1<<16; n += step {
		binary.BigEndian.PutUint16(probe[3:], uint16(n))
		if !u.owes(probe) {
			return probe
		}
	}
	return nil
}

// resync makes sure that nothing the unit owes can be taken for the answer to
// pdu; the slot is held.
func (m *Master) resync(ctx context.Context, id byte, pdu []byte) error {
	u := m.units[id]
	if m.o.TCP || u == nil || !u.owes(pdu) {
		return nil
	}
	probe := u.distinct(pdu)
	if probe == nil {
		return &detailed{ErrLate, "it owes answers that cannot be told apart"}
	}
	err := m.once(ctx, id, probe, nil)
	var e Exception
	if errors.As(err, &e) && e != GatewayTarget {
		return nil // it has answered
	}
	return err
}
