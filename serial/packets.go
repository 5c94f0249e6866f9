package serial

import (
	"errors"
	"time"
)

// packetFraming is how MQTT Control Packets lie on a serial line; see
// FRAMES.md. max is the longest packet.
func packetFraming(kind string, max int) (Framing, error) {
	f := Framing{Kind: kind, Max: max, BigEndian: true, Tell: true}
	f.Check, _ = CheckNamed("crc16_ccitt_false") // it is there
	if kind != "cobs" && kind != "slip" {
		return f, errors.New("framing: is not cobs or slip")
	}
	if max < 1 || max > MaxFrame {
		return f, errors.New("the longest packet: is not between 1 and 1048576 bytes")
	}
	return f, nil
}

// errPacket: what should be an MQTT Control Packet has no valid length.
var errPacket = errors.New("no MQTT Control Packet")

// packetSize returns the length of the MQTT Control Packet at b, 0 when more
// bytes must tell [MQTT-1.5.5-1].
func packetSize(b []byte) (int, error) {
	n := 0
	for i := 1; i < len(b); i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return 1 + i + n, nil
		}
		if i == 4 {
			return 0, errPacket
		}
	}
	return 0, nil
}

// packetWriter cuts a stream of MQTT into packets and writes each as a frame.
type packetWriter struct {
	port  Port
	f     *Framing
	limit time.Duration // of a write that makes no progress
	rest  []byte        // the beginning of a packet
	frame []byte
}

// add takes the next bytes of the stream. Errors are the port's, or that of a
// packet which goes into no frame.
func (w *packetWriter) add(b []byte) error {
	w.rest = append(w.rest, b...)
	for {
		n, err := packetSize(w.rest)
		if err != nil {
			return err
		}
		if n == 0 || n > len(w.rest) {
			if n > w.f.Max {
				return errPacket
			}
			return nil
		}
		if err := w.send(w.rest[:n]); err != nil {
			return err
		}
		w.rest = append(w.rest[:0], w.rest[n:]...)
	}
}

// send writes one frame; without a payload it says that there is no
// connection. A delimiter goes before it, in case that an earlier frame was
// cut off.
func (w *packetWriter) send(payload []byte) (err error) {
	delimiter, _ := w.f.delimited()
	if w.frame, err = w.f.Append(append(w.frame[:0], delimiter), payload); err != nil {
		return err
	}
	for b := w.frame; len(b) > 0; {
		part := b[:min(len(b), room)]
		if err := w.port.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
			return err
		}
		n, err := w.port.Write(part)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
