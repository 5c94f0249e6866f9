package drivers

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// crc8 is the checksum of Sensirion's and Aosong's chips: polynomial 0x31,
// start 0xFF, not reflected; BE EF gives 92 (SHT3x-DIS data sheet, December
// 2022, 4.12; SHT4x, 4.4; AHT20 A1, 5.4.4).
func crc8(p []byte) byte {
	crc := byte(0xFF)
	for _, b := range p {
		crc ^= b
		for range 8 {
			high := crc & 0x80
			crc <<= 1
			if high != 0 {
				crc ^= 0x31
			}
		}
	}
	return crc
}

// checked appends its checksum to an argument word.
func checked(word uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, word)
	return append(b, crc8(b))
}

// words reads what the last command left to read: big-endian words, each with
// its checksum.
func (c *i2cChip) words(ctx context.Context, into []uint16) error {
	raw := make([]byte, 3*len(into))
	if err := c.tx(ctx, nil, raw); err != nil {
		return err
	}
	if err := c.idle(raw); err != nil {
		return err
	}
	for i := range into {
		w := raw[3*i : 3*i+3]
		if sum := crc8(w[:2]); sum != w[2] {
			return c.fault(sensors.CRC, "% x carries checksum %02x, not %02x", w[:2], w[2], sum)
		}
		into[i] = binary.BigEndian.Uint16(w)
	}
	return nil
}

// command sends a command, with a word if it takes one, and gives the chip its
// time.
func (c *i2cChip) command(ctx context.Context, cmd uint16, t time.Duration, arg ...uint16) error {
	w := binary.BigEndian.AppendUint16(nil, cmd)
	for _, a := range arg {
		w = append(w, checked(a)...)
	}
	if err := c.tx(ctx, w, nil); err != nil {
		return err
	}
	return pause(ctx, t)
}

// converted reads the words of a measurement, which the chip does not
// acknowledge before it is over.
func (c *i2cChip) converted(ctx context.Context, longest time.Duration, into []uint16) error {
	return c.poll(ctx, longest, time.Millisecond, func() (bool, error) {
		err := c.words(ctx, into)
		if sensors.ReasonOf(err) == sensors.Nack {
			return false, nil
		}
		return err == nil, err
	})
}

// climate makes readings of a temperature and a relative humidity. Formulas
// reach a little below 0 % and above 100 %, which the data sheets crop.
func (c *i2cChip) climate(at time.Time, celsius, percent float64) ([]sensors.Reading, error) {
	if err := c.within("temperature", celsius, -40, 125, "°C"); err != nil {
		return nil, err // the humidity was compensated with it
	}
	return []sensors.Reading{
		{Entity: "temperature", Value: round(celsius, 3), Unit: "°C", At: at},
		{Entity: "humidity", Value: round(min(max(percent, 0), 100), 3), Unit: "%", At: at},
	}, nil
}
