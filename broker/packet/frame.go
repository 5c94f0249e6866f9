package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// MaxSize is the size in bytes of the largest packet that the protocol can
// express, its fixed header included.
const MaxSize = maxRemaining + 5

const maxRemaining = 268_435_455 // four bytes of Variable Byte Integer

// Frame looks at the start of buf and returns the size in bytes of the first
// whole control packet, 0 while more bytes are needed. The packet may have at
// most max bytes, its fixed header included; 0 stands for MaxSize. It fails as soon as the fixed header shows that the
// packet is reserved, malformed or too large [MQTT-3.1.2-24].
func Frame(buf []byte, max uint32) (n int, err error) {
	if len(buf) == 0 {
		return 0, nil
	}
	if buf[0]>>4 == 0 {
		return 0, mqtt.Errorf(mqtt.MalformedPacket, "MQTT-2.1.2", "reserved packet type 0")
	}
	if max == 0 {
		max = MaxSize
	}
	remaining, size := varint(buf[1:])
	switch {
	case size < 0:
		return 0, mqtt.Errorf(mqtt.MalformedPacket, "MQTT-2.1.4", "Remaining Length longer than four bytes")
	case size == 0:
		return 0, nil
	}
	n = 1 + size + int(remaining)
	if uint32(n) > max {
		return 0, mqtt.Errorf(mqtt.PacketTooLarge, "MQTT-3.1.2-24", "packet of %d bytes, maximum %d", n, max)
	}
	if n > len(buf) {
		return 0, nil
	}
	return n, nil
}

// varint reads a Variable Byte Integer at the start of b. size is the bytes it
// took, 0 when b ends inside it, -1 when it is longer than four bytes.
func varint(b []byte) (v uint32, size int) {
	for i := range 4 {
		if i == len(b) {
			return 0, 0
		}
		v |= uint32(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, -1
}

func varintSize(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(dst []byte, v int) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}
