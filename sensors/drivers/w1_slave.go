package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// w1Resolution is the resolution in the configuration register of a scratchpad
// (DS18B20 data sheet, Figure 10).
func w1Resolution(pad []byte) int { return 9 + int(pad[4]>>5&3) }

// parseW1 reads the kernel's w1_slave: nine bytes of the sensor's memory with
// their checksum, and the temperature that the kernel made of them.
//
//	91 01 4b 46 7f ff 0c 10 70 : crc=70 YES
//	91 01 4b 46 7f ff 0c 10 70 t=25062
func parseW1(text, family string) (pad []byte, celsius float64, err error) {
	bad := func(r sensors.Reason, why string) ([]byte, float64, error) {
		return nil, 0, &sensors.Fault{Reason: r, Err: fmt.Errorf("%s: %.80q", why, text)}
	}
	first, second, _ := strings.Cut(text, "\n")
	digits, verdict, ok := strings.Cut(first, ":")
	for _, f := range strings.Fields(digits) {
		b, err := strconv.ParseUint(f, 16, 8)
		ok = ok && err == nil
		pad = append(pad, byte(b))
	}
	_, thousandths, hasValue := strings.Cut(second, "t=")
	if !ok || len(pad) != 9 || !hasValue {
		return bad(sensors.Parse, "no scratchpad of nine bytes")
	}
	same := func(b byte) bool { return bytes.Count(pad, []byte{b}) == len(pad) }
	switch {
	case same(0): // its checksum is right
		return bad(sensors.ShortCircuit, "all zeros, the data line is low")
	case same(0xff):
		return bad(sensors.Nack, "all ones, nothing answers")
	case !strings.HasSuffix(strings.TrimSpace(verdict), "YES"), w1CRC(pad[:8]) != pad[8]:
		return bad(sensors.CRC, "wrong checksum")
	}
	if isThermocouple(pad, family) {
		if celsius, err = w1Thermocouple(pad); err != nil {
			return nil, 0, err
		}
		return pad, celsius, nil
	}
	if family == "10" { // the DS18S20 counts otherwise; the kernel has done it
		t, err := strconv.Atoi(strings.TrimSpace(thousandths))
		if err != nil {
			return bad(sensors.Parse, "no temperature")
		}
		celsius = float64(t) / 1000
	} else {
		celsius = w1Celsius(pad)
	}
	if celsius < -55 || celsius > 125 {
		return bad(sensors.OutOfRange, "not between -55 and 125 °C")
	}
	return pad, celsius, nil
}

// w1Celsius is the temperature in a scratchpad: sixteenths of a degree, of
// which the last bits mean nothing at a lower resolution (DS18B20 data sheet,
// Figure 4). The kernel's own number is cut to thousandths.
func w1Celsius(pad []byte) float64 {
	raw := int16(pad[1])<<8 | int16(pad[0])
	return float64(raw&^(1<<(12-w1Resolution(pad))-1)) / 16
}

// isThermocouple reports whether a scratchpad is that of a MAX31850 or MAX31851,
// which share their family with the DS1825: bits 4 to 7 of its configuration are
// ones (MAX31850 data sheet 19-6725, p. 13).
func isThermocouple(pad []byte, family string) bool { return family == "3b" && pad[4]&0x80 != 0 }

// w1Thermocouple is the temperature of a thermocouple: fourteen bits of a quarter
// of a degree, of which the last two of the register are a reserved one and the
// fault; what is wrong stands beside the cold junction (p. 13, Table 2). The
// kernel does not look at the fault.
func w1Thermocouple(pad []byte) (float64, error) {
	raw := int16(pad[1])<<8 | int16(pad[0])
	celsius := float64(raw&^3) / 16
	switch {
	case raw&1 == 0 && celsius >= -270 && celsius <= 1768:
		return celsius, nil
	case raw&1 == 0:
		return 0, &sensors.Fault{Reason: sensors.OutOfRange, Err: fmt.Errorf("%v °C is no thermocouple's", celsius)}
	case pad[2]&6 != 0:
		return 0, &sensors.Fault{Reason: sensors.ShortCircuit, Err: errors.New("the thermocouple touches ground or the supply")}
	}
	return 0, &sensors.Fault{Reason: sensors.WireBreak, Err: errors.New("the thermocouple is open")}
}

// w1CRC is the checksum of 1-Wire: polynomial x^8 + x^5 + x^4 + 1, least bit
// first (Maxim application note 27).
func w1CRC(data []byte) byte {
	var crc byte
	for _, b := range data {
		crc ^= b
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0x8c
			}
		}
	}
	return crc
}
