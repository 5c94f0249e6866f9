package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Table is one of the four data tables of a unit.
type Table uint8

// The tables of Modbus Application Protocol V1.1b3, section 4.3.
const (
	Coils    Table = iota // single bits, read and written
	Discrete              // single bits, read only
	Input                 // 16-bit registers, read only
	Holding               // 16-bit registers, read and written
)

// tables are the properties of the tables, in their order.
var tables = [...]struct {
	name string
	read byte // function code
	most int  // entries in one read
}{
	Coils:    {"coil", 0x01, 2000},
	Discrete: {"discrete", 0x02, 2000},
	Input:    {"input", 0x04, 125},
	Holding:  {"holding", 0x03, 125},
}

// String returns the table's name in configurations.
func (t Table) String() string { return tables[t].name }

// Bits reports whether the table's entries are single bits.
func (t Table) Bits() bool { return t <= Discrete }

// MaxRead is how many entries one request may read.
func (t Table) MaxRead() int { return tables[t].most }

// The limits of writes, sections 6.11 and 6.12.
const (
	maxWriteCoils     = 1968
	maxWriteRegisters = 123
)

// Function codes of writes.
const (
	writeCoil      = 0x05
	writeRegister  = 0x06
	writeCoils     = 0x0F
	writeRegisters = 0x10
	maskRegister   = 0x16

	refused = 0x80 // set in the function code of an exception
)

// readPDU is the request for count entries, sections 6.1 to 6.4.
func readPDU(t Table, address uint16, count int) ([]byte, error) {
	if count < 1 || count > t.MaxRead() || int(address)+count > 1<<16 {
		return nil, fmt.Errorf("%s %d: %d entries cannot be read at once", t, address, count)
	}
	pdu := binary.BigEndian.AppendUint16([]byte{tables[t].read}, address)
	return binary.BigEndian.AppendUint16(pdu, uint16(count)), nil
}

// writePDU is the request that writes words, bits as 0 and 1: the function for
// a single entry, unless there are several or many asks for the other.
func writePDU(t Table, address uint16, words []uint16, many bool) ([]byte, error) {
	n, most := len(words), maxWriteRegisters
	if t == Coils {
		most = maxWriteCoils
	}
	if t != Coils && t != Holding || n < 1 || n > most || int(address)+n > 1<<16 {
		return nil, fmt.Errorf("%s %d: %d entries cannot be written at once", t, address, n)
	}
	function := byte(writeRegister)
	if n > 1 || many {
		function = writeRegisters
	}
	if t == Coils {
		function-- // 05 beside 06, 0F beside 10
	}
	pdu := binary.BigEndian.AppendUint16([]byte{function}, address)
	switch function {
	case writeCoil:
		return append(pdu, byte(-int8(words[0]&1)), 0), nil // FF00 or 0000
	case writeRegister:
		return binary.BigEndian.AppendUint16(pdu, words[0]), nil
	}
	pdu = binary.BigEndian.AppendUint16(pdu, uint16(n))
	if t == Coils {
		bits := make([]byte, (n+7)/8)
		for i, w := range words {
			bits[i/8] |= byte(w&1) << (i % 8)
		}
		return append(append(pdu, byte(len(bits))), bits...), nil
	}
	pdu = append(pdu, byte(2*n))
	for _, w := range words {
		pdu = binary.BigEndian.AppendUint16(pdu, w)
	}
	return pdu, nil
}

// maskPDU is the request for value = value AND and OR (or AND NOT and), section
// 6.16.
func maskPDU(address, and, or uint16) []byte {
	pdu := binary.BigEndian.AppendUint16([]byte{maskRegister}, address)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(pdu, and), or)
}

// answerSize is the length of the PDU that begins with head when that is an
// answer to request, 0 when it cannot be one. At least two bytes of head are
// looked at, and as many as there are.
func answerSize(request, head []byte) int {
	if len(head) < 2 {
		return 0
	}
	if head[0] == request[0]|refused {
		return 2
	}
	if head[0] != request[0] {
		return 0
	}
	echoed := 5 // function, address, value or count
	switch request[0] {
	case maskRegister:
		echoed = 7
	case writeCoil, writeRegister, writeCoils, writeRegisters:
	default:
		if want := readBytes(request); int(head[1]) == want {
			return 2 + want
		}
		return 0
	}
	if n := min(len(head), echoed); !bytes.Equal(head[:n], request[:n]) {
		return 0
	}
	return echoed
}

// readBytes is how many bytes of data a read asks for.
func readBytes(request []byte) int {
	count := int(binary.BigEndian.Uint16(request[3:]))
	if request[0] <= tables[Discrete].read {
		return (count + 7) / 8
	}
	return 2 * count
}

// checkAnswer holds a whole answer to its request: nil, or its Exception.
func checkAnswer(request, answer []byte) error {
	switch {
	case answerSize(request, answer) != len(answer) || len(answer) == 0:
		return ErrGarbage
	case answer[0]&refused != 0:
		return Exception(answer[1])
	}
	return nil
}

// words takes the data of a read apart, bits as 0 and 1.
func words(answer []byte, into []uint16) {
	data := answer[2:]
	for i := range into {
		if answer[0] <= tables[Discrete].read {
			into[i] = uint16(data[i/8]>>(i%8)) & 1
		} else {
			into[i] = binary.BigEndian.Uint16(data[2*i:])
		}
	}
}
