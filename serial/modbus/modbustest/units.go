package modbustest

import (
	"encoding/binary"
	"io"
	"sync"
)

// The tables of a unit.
const (
	Coils = iota
	Discrete
	Input
	Holding
)

// Units are units on one line. The zero value has none.
type Units struct {
	// Twist is asked what becomes of an answer, a whole frame: it sends what is
	// to be sent. n counts requests from 0. nil sends every answer as it is.
	Twist func(n int, request, answer []byte, send func([]byte))
	// NoMask refuses function 16, as many units do.
	NoMask bool

	mu    sync.Mutex
	units map[byte]*[4]map[uint16]uint16
	n     int
}

// Set gives a unit entries of a table from address on; entries that were never
// set do not exist. Bits are 0 and 1.
func (u *Units) Set(unit byte, table int, address uint16, values ...uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.units == nil {
		u.units = map[byte]*[4]map[uint16]uint16{}
	}
	if u.units[unit] == nil {
		u.units[unit] = &[4]map[uint16]uint16{{}, {}, {}, {}}
	}
	for i, v := range values {
		u.units[unit][table][address+uint16(i)] = v
	}
}

// Remove takes a unit from the line: it hears and says nothing any more.
func (u *Units) Remove(unit byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.units, unit)
}

// Get returns one entry, 0 of a unit that is not there.
func (u *Units) Get(unit byte, table int, address uint16) uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.units[unit]; t != nil {
		return t[table][address]
	}
	return 0
}

// Requests is how many requests came.
func (u *Units) Requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n
}

// ServeRTU answers requests from the stream until it ends.
func (u *Units) ServeRTU(s io.ReadWriter) {
	var got []byte
	b := make([]byte, 512)
	for {
		n, err := s.Read(b)
		if err != nil {
			return
		}
		got = append(got, b[:n]...)
		for len(got) >= 8 {
			size := requestSize(got)
			if len(got) < size {
				break
			}
			request := got[:size]
			got = append([]byte(nil), got[size:]...)
			if CRC(request[:size-2]) != binary.LittleEndian.Uint16(request[size-2:]) {
				got = nil
				continue
			}
			answer := u.answer(request[0], request[1:size-2])
			if answer == nil {
				continue
			}
			u.send(request, WithCRC(append([]byte{request[0]}, answer...)), s)
		}
	}
}

// ServeTCP answers requests from one connection until it ends.
func (u *Units) ServeTCP(c io.ReadWriter) {
	for {
		head := make([]byte, 7)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		request := append(head, make([]byte, int(binary.BigEndian.Uint16(head[4:]))-1)...)
		if _, err := io.ReadFull(c, request[7:]); err != nil {
			return
		}
		answer := u.answer(request[6], request[7:])
		if answer == nil {
			continue
		}
		frame := append(append([]byte(nil), request[:7]...), answer...)
		binary.BigEndian.PutUint16(frame[4:], uint16(1+len(answer)))
		u.send(request, frame, c)
	}
}

func (u *Units) send(request, answer []byte, w io.Writer) {
	u.mu.Lock()
	n, twist := u.n, u.Twist
	u.n++
	u.mu.Unlock()
	send := func(b []byte) { _, _ = w.Write(b) } // the stream's end shows at the next read
	if twist == nil {
		send(answer)
		return
	}
	twist(n, request, answer, send)
}

// requestSize is the length of the RTU request that begins with b.
func requestSize(b []byte) int {
	switch b[1] {
	case 0x0F, 0x10:
		return 9 + int(b[6])
	case 0x16:
		return 10
	}
	return 8
}

// CRC is the checksum of the specification, bit by bit.
func CRC(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c ^= uint16(x)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
	}
	return c
}

// WithCRC appends the checksum.
func WithCRC(b []byte) []byte { return binary.LittleEndian.AppendUint16(b, CRC(b)) }

// answer is the PDU that answers one, nil for units that are not there.
func (u *Units) answer(unit byte, pdu []byte) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.units[unit]
	if t == nil {
		return nil
	}
	exception := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	if len(pdu) < 5 {
		return exception(3)
	}
	address, value := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	switch f := pdu[0]; f {
	case 1, 2, 3, 4:
		return read(t[[...]int{0, Coils, Discrete, Holding, Input}[f]], f, address, int(value), exception)
	case 5, 6:
		return write(t, [...]int{5: Coils, 6: Holding}[f], address, []uint16{min(value, [...]uint16{5: 1, 6: 0xFFFF}[f])}, pdu, exception)
	case 15, 16:
		values := make([]uint16, value)
		for i := range values {
			if f == 15 {
				values[i] = uint16(pdu[6+i/8]>>(i%8)) & 1
			} else {
				values[i] = binary.BigEndian.Uint16(pdu[6+2*i:])
			}
		}
		return write(t, [...]int{15: Coils, 16: Holding}[f], address, values, pdu[:5], exception)
	case 0x16:
		old, ok := t[Holding][address]
		if u.NoMask {
			return exception(1)
		} else if !ok {
			return exception(2)
		}
		or := binary.BigEndian.Uint16(pdu[5:])
		t[Holding][address] = old&value | or&^value
		return pdu
	}
	return exception(1)
}

func read(t map[uint16]uint16, f byte, address uint16, count int, exception func(byte) []byte) []byte {
	bits := f <= 2
	if count < 1 || bits && count > 2000 || !bits && count > 125 {
		return exception(3)
	}
	out := []byte{f, byte(2 * count)}
	if bits {
		out = append([]byte{f, byte((count + 7) / 8)}, make([]byte, (count+7)/8)...)
	}
	for i := range count {
		v, ok := t[address+uint16(i)]
		switch {
		case !ok || int(address)+i > 0xFFFF:
			return exception(2)
		case bits:
			out[2+i/8] |= byte(v) << (i % 8)
		default:
			out = binary.BigEndian.AppendUint16(out, v)
		}
	}
	return out
}

func write(t *[4]map[uint16]uint16, table int, address uint16, values []uint16, answer []byte, exception func(byte) []byte) []byte {
	for i := range values {
		if _, ok := t[table][address+uint16(i)]; !ok {
			return exception(2)
		}
	}
	for i, v := range values {
		t[table][address+uint16(i)] = v
	}
	return answer
}
