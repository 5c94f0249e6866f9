package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// What may arrive on a line instead of, before and after the answer.
func TestRTUSearch(t *testing.T) {
	frame := func(s string) []byte { return modbustest.WithCRC(unhex(t, s)) }
	read := frame("01 03 00 10 00 02")
	answer := frame("01 03 04 11 22 33 44")
	write := frame("01 06 00 01 00 03")
	damaged := slices.Clone(answer)
	damaged[4] ^= 0x10
	ownEcho := frame("01 01 03 00 00 14") // read 20 coils from 0x0300: also a valid answer to itself
	for _, tc := range []struct {
		name           string
		sent, received []byte
		echoes         bool
		found          bool
		err            error // of the search, or of the diagnosis when nothing was found
	}{
		{"the answer", read, answer, false, true, nil},
		{"the answer and noise", read, append(slices.Clone(answer), 1, 3, 4), false, true, nil},
		{"zeros of a switching driver, then the answer", read, append([]byte{0, 0xFF}, answer...), false, true, nil},
		{"noise, then the answer", read, append([]byte{7, 1, 3, 4, 1, 3}, answer...), false, true, nil},
		{"the echo, then the answer", read, slices.Concat(read, answer), false, true, nil},
		{"another unit's late answer, then the answer", read, slices.Concat(frame("07 03 04 01 02 03 04"), answer), false, true, nil},
		{"an answer of another length, then the answer", read, slices.Concat(frame("01 03 02 01 02"), answer), false, true, nil},
		{"an exception", read, frame("01 83 02"), false, true, nil},
		{"a write", write, write, false, true, nil},
		{"a write on a line that echoes", write, write, true, false, ErrEcho},
		{"the echo of a write and the answer", write, slices.Concat(write, write), true, true, nil},
		{"the echo that could be the answer", ownEcho, ownEcho, true, false, ErrEcho},
		{"nothing", read, nil, false, false, ErrTimeout},
		{"zeros of a switching driver", read, []byte{0, 0, 0xFF}, false, false, ErrTimeout},
		{"damaged", read, damaged, false, false, ErrCRC},
		{"the echo, then damaged", read, slices.Concat(read, damaged), false, false, ErrCRC},
		{"another unit", read, frame("07 03 04 11 22 33 44"), false, false, ErrUnit},
		{"truncated", read, answer[:6], false, false, ErrTruncated},
		{"truncated after the unit", read, answer[:1], false, false, ErrTruncated},
		{"the echo", read, read, false, false, ErrEcho},
		{"garbage", read, []byte("hello, world"), false, false, ErrGarbage},
		{"another function", read, frame("01 04 04 11 22 33 44"), false, false, ErrLate},
		{"another length", read, frame("01 03 02 11 22"), false, false, ErrLate},
		{"another write", write, frame("01 06 00 01 00 04"), false, false, ErrLate},
		{"an answer that says more than it has", read, frame("01 03 06 11 22 33 44"), false, false, ErrLate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pdu, err := searchRTU(tc.received, tc.sent, tc.echoes)
			if (pdu != nil) != tc.found {
				t.Fatalf("found % x, %v", pdu, err)
			}
			if pdu == nil && err == nil {
				err, _ = diagnose(tc.received, tc.sent)
			}
			if !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
		})
	}
}

// FuzzRTU: whatever arrives, only a frame of the unit asked, of the shape
// asked, with a valid CRC, is an answer, and failure has a reason.
func FuzzRTU(f *testing.F) {
	f.Add(byte(0), uint16(0), uint16(2), []byte{1, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x4A, 0xC7}, false)
	f.Add(byte(3), uint16(1), uint16(3), []byte{1, 6, 0, 1, 0, 3, 0x98, 0x0B}, true)
	f.Add(byte(1), uint16(0x300), uint16(20), []byte{1, 1, 3, 0, 0, 20}, true)
	f.Add(byte(5), uint16(0), uint16(0), []byte{0, 0xFF, 1, 0x96, 2, 0, 0}, false)
	f.Fuzz(func(t *testing.T, kind byte, address, value uint16, received []byte, fix bool) {
		var pdu []byte
		switch kind % 6 {
		case 0, 1, 2:
			pdu, _ = readPDU(Table(kind%4), address, int(value))
		case 3:
			pdu, _ = writePDU(Holding, address, []uint16{value}, kind&8 != 0)
		case 4:
			pdu, _ = writePDU(Coils, address, []uint16{value}, kind&8 != 0)
		case 5:
			pdu = maskPDU(address, value, ^value)
		}
		if pdu == nil {
			return
		}
		if fix && len(received) > 2 { // let the fuzzer get past the checksum
			received = modbustest.WithCRC(received[:len(received)-2])
		}
		sent := frameRTU(nil, 1, pdu)
		if modbustest.CRC(sent[:len(sent)-2]) != binary.LittleEndian.Uint16(sent[len(sent)-2:]) {
			t.Fatal("our own CRC is wrong")
		}
		for _, echoes := range []bool{false, true} {
			answer, err := searchRTU(received, sent, echoes)
			switch {
			case answer != nil:
				whole := modbustest.WithCRC(append([]byte{1}, answer...))
				if err != nil || !bytes.Contains(received, whole) {
					t.Fatalf("% x is not in % x", whole, received)
				}
				if err := checkAnswer(pdu, answer); errors.Is(err, ErrGarbage) {
					t.Fatalf("% x does not answer % x", answer, pdu)
				} else if err == nil && pdu[0] <= 4 {
					words(answer, make([]uint16, binary.BigEndian.Uint16(pdu[3:])))
				}
			case err == nil:
				if err, _ := diagnose(received, sent); err == nil {
					t.Fatal("no reason")
				}
			}
		}
	})
}

// FuzzTCP: frames are cut as a reader that knows the format by its tables
// would cut them, whatever the pieces in which they come.
func FuzzTCP(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7, 0, 2, 0, 0, 0, 3, 1, 0x83, 2})
	f.Add([]byte{0, 1, 0, 9, 0, 5, 1, 3, 2, 0, 7})
	f.Add([]byte{0, 1, 0, 0, 1, 0, 1, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		for at := 0; at < len(stream); {
			frame, err := cutTCP(stream[at:])
			if err != nil || frame == nil {
				return
			}
			if !bytes.HasPrefix(stream[at:], frame) || len(frame) < mbapSize+2 || len(frame) > maxMBAP ||
				int(binary.BigEndian.Uint16(frame[4:])) != len(frame)-6 || frame[2] != 0 || frame[3] != 0 {
				t.Fatalf("% x is no frame", frame)
			}
			if short, err := cutTCP(frame[:len(frame)-1]); short != nil || err != nil {
				t.Fatalf("% x was taken for whole", short)
			}
			unit, pdu := frame[6], frame[7:]
			if again := frameTCP(nil, binary.BigEndian.Uint16(frame), unit, pdu); !bytes.Equal(again, frame) {
				t.Fatalf("% x became % x", frame, again)
			}
			at += len(frame)
		}
	})
}
