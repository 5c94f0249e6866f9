package modbus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bits are n bits of the bytes given, lowest first, as words.
func bits(n int, b ...byte) []uint16 {
	out := make([]uint16, n)
	for i := range out {
		out[i] = uint16(b[i/8]>>(i%8)) & 1
	}
	return out
}

// The examples of Modbus Application Protocol Specification V1.1b3, section 6.
func TestPublishedExamples(t *testing.T) {
	for _, tc := range []struct {
		section         string
		request, answer string
		make            func() ([]byte, error)
		want            []uint16
	}{
		{"6.1 read coils 20-38", "01 00 13 00 13", "01 03 CD 6B 05",
			func() ([]byte, error) { return readPDU(Coils, 0x13, 0x13) }, bits(19, 0xCD, 0x6B, 0x05)},
		{"6.2 read discrete inputs 197-218", "02 00 C4 00 16", "02 03 AC DB 35",
			func() ([]byte, error) { return readPDU(Discrete, 0xC4, 0x16) }, bits(22, 0xAC, 0xDB, 0x35)},
		{"6.3 read holding registers 108-110", "03 00 6B 00 03", "03 06 02 2B 00 00 00 64",
			func() ([]byte, error) { return readPDU(Holding, 0x6B, 3) }, []uint16{555, 0, 100}},
		{"6.4 read input register 9", "04 00 08 00 01", "04 02 00 0A",
			func() ([]byte, error) { return readPDU(Input, 8, 1) }, []uint16{10}},
		{"6.5 write coil 173 ON", "05 00 AC FF 00", "05 00 AC FF 00",
			func() ([]byte, error) { return writePDU(Coils, 0xAC, []uint16{1}, false) }, nil},
		{"6.5 write coil 173 OFF", "05 00 AC 00 00", "05 00 AC 00 00",
			func() ([]byte, error) { return writePDU(Coils, 0xAC, []uint16{0}, false) }, nil},
		{"6.6 write register 2", "06 00 01 00 03", "06 00 01 00 03",
			func() ([]byte, error) { return writePDU(Holding, 1, []uint16{3}, false) }, nil},
		{"6.11 write coils 20-29", "0F 00 13 00 0A 02 CD 01", "0F 00 13 00 0A",
			func() ([]byte, error) { return writePDU(Coils, 0x13, bits(10, 0xCD, 0x01), false) }, nil},
		{"6.12 write registers 2-3", "10 00 01 00 02 04 00 0A 01 02", "10 00 01 00 02",
			func() ([]byte, error) { return writePDU(Holding, 1, []uint16{0x0A, 0x0102}, false) }, nil},
		{"6.16 mask write register 5", "16 00 04 00 F2 00 25", "16 00 04 00 F2 00 25",
			func() ([]byte, error) { return maskPDU(4, 0xF2, 0x25), nil }, nil},
	} {
		t.Run(tc.section, func(t *testing.T) {
			request, answer := unhex(t, tc.request), unhex(t, tc.answer)
			got, err := tc.make()
			if err != nil || !bytes.Equal(got, request) {
				t.Fatalf("request % x, %v; want % x", got, err, request)
			}
			if err := checkAnswer(request, answer); err != nil {
				t.Fatal(err)
			}
			into := make([]uint16, len(tc.want))
			if words(answer, into); !slices.Equal(into, tc.want) {
				t.Errorf("values %v, want %v", into, tc.want)
			}
			for cut := range answer {
				if checkAnswer(request, answer[:cut]) == nil {
					t.Errorf("% x was taken for an answer", answer[:cut])
				}
			}
		})
	}
	t.Run("7 exception 02 to read coils", func(t *testing.T) {
		err := checkAnswer(unhex(t, "01 04 A1 00 01"), unhex(t, "81 02"))
		if !errors.Is(err, IllegalDataAddress) {
			t.Error(err)
		}
	})
}

// Modbus over Serial Line V1.02, 6.2.2, and the vector of everyone's manual.
func TestCRC(t *testing.T) {
	for frame, want := range map[string]string{
		"02 07":             "41 12",
		"01 03 00 00 00 0A": "C5 CD",
		"11 03 00 6B 00 03": "76 87",
	} {
		c := crc(0xFFFF, unhex(t, frame))
		if got := fmt.Sprintf("%02X %02X", byte(c), byte(c>>8)); got != want {
			t.Errorf("%s: %s, want %s", frame, got, want)
		}
	}
}

func TestLimitsOfRequests(t *testing.T) {
	word := make([]uint16, 2000)
	for _, tc := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"125 registers", second(readPDU(Holding, 0, 125)), true},
		{"126 registers", second(readPDU(Holding, 0, 126)), false},
		{"2000 coils", second(readPDU(Coils, 0, 2000)), true},
		{"2001 inputs", second(readPDU(Discrete, 0, 2001)), false},
		{"none", second(readPDU(Input, 0, 0)), false},
		{"the last register", second(readPDU(Input, 0xFFFF, 1)), true},
		{"past the last register", second(readPDU(Input, 0xFFFF, 2)), false},
		{"write 123 registers", second(writePDU(Holding, 0, word[:123], false)), true},
		{"write 124 registers", second(writePDU(Holding, 0, word[:124], false)), false},
		{"write 1968 coils", second(writePDU(Coils, 0, word[:1968], false)), true},
		{"write 1969 coils", second(writePDU(Coils, 0, word[:1969], false)), false},
		{"write an input", second(writePDU(Input, 0, word[:1], false)), false},
		{"write past the end", second(writePDU(Holding, 0xFFFF, word[:2], false)), false},
	} {
		if (tc.err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, tc.err)
		}
	}
	if pdu, _ := writePDU(Holding, 1, []uint16{3}, true); !bytes.Equal(pdu, unhex(t, "10 00 01 00 01 02 00 03")) {
		t.Errorf("one register with function 10: % x", pdu)
	}
	if pdu, _ := writePDU(Coils, 1, []uint16{1}, true); !bytes.Equal(pdu, unhex(t, "0F 00 01 00 01 01 01")) {
		t.Errorf("one coil with function 0F: % x", pdu)
	}
}

func second(_ []byte, err error) error { return err }
