package scan

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// lowest and highest are the addresses that chips may have; memory is where
// those stand that a stray access may harm.
const (
	lowest, highest         = 0x08, 0x77
	memoryFirst, memoryLast = 0x50, 0x57
)

// noSensors begin or are in the names of adapters that carry the machine's own
// chips: memory modules, monitors, the mainboard.
var noSensors = []string{"smbus", "ddc", "gmbus", "dp-aux", "dpmst", "nvidia", "hdmi", "aux "}

func (o *Options) i2c(ctx context.Context, r *Report) {
	adapters := o.glob("sys/class/i2c-dev/i2c-*")
	if len(adapters) == 0 {
		r.skip("I2C: there is no bus; on a Raspberry Pi dtparam=i2c_arm=on in /boot/firmware/config.txt, then 'modprobe i2c-dev'")
	}
	looked := false
	for _, dir := range adapters {
		id := filepath.Base(dir)
		name := text(dir, "name")
		if o.Bus != "" && o.Bus != id && "i2c-"+o.Bus != id {
			continue
		}
		if o.Bus == "" && !o.All && belongsToMachine(name) {
			r.skip(id + " (" + name + "): the machine's own; --bus " + id + " looks at it")
			continue
		}
		looked = true
		if err := o.adapter(ctx, r, id); err != nil {
			r.skip(id + " (" + name + "): " + err.Error())
		}
	}
	if o.Bus != "" && !looked {
		r.skip(o.Bus + ": there is no such I2C bus")
	}
	if looked {
		r.skip("I2C 0x00-0x07 and 0x78-0x7f: reserved; 0x20-0x27, 0x38-0x3d and 0x70-0x75: read, but nothing sent, since expanders and multiplexers take it for an order")
		if !o.All {
			r.skip("I2C 0x50-0x57: memories; --all reads them too")
		}
	}
}

func belongsToMachine(adapter string) bool {
	for _, word := range noSensors {
		if strings.Contains(strings.ToLower(adapter), word) {
			return true
		}
	}
	return false
}

// adapter looks at every address of a bus. Its error ends the bus: a chip that
// is not there is none.
func (o *Options) adapter(ctx context.Context, r *Report, id string) error {
	number := strings.TrimPrefix(id, "i2c-")
	wire, err := o.I2C(number)
	if err != nil {
		return err
	}
	for addr := uint16(lowest); addr <= highest; addr++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		item := Item{Kind: "i2c", Where: fmt.Sprintf("%s 0x%02x", id, addr)}
		kernel := filepath.Join(o.Root, fmt.Sprintf("sys/bus/i2c/devices/%s-%04x", number, addr))
		switch name := text(kernel, "name"); {
		case name != "":
			item.What, item.Note = name, "the kernel's; not touched. Its values are with hwmon or iio"
		case o.Used[item.Where] != "":
			item.What, item.Note = "", "not touched"
		case addr >= memoryFirst && addr <= memoryLast && !o.All:
			continue
		default:
			here, err := look(wire, addr, &item)
			if err != nil {
				return err
			}
			if !here {
				continue
			}
			item.keys = fmt.Sprintf("bus: %q, address: 0x%02x", number, addr)
		}
		r.add(item)
	}
	return nil
}

// look finds out whether a chip is at an address, and which.
func look(wire i2c.Bus, addr uint16, item *Item) (here bool, err error) {
	var first [1]byte
	if here, err = answered(wire.Tx(addr, nil, first[:])); err != nil {
		return false, err
	}
	for _, p := range probes {
		if addr < p.low || addr > p.high {
			continue
		}
		// Sensirion's chips do not answer before they were asked something.
		if !here && !strings.Contains(p.asks[0], "!") {
			continue
		}
		is, err := p.matches(wire, addr)
		if err != nil {
			return false, err
		}
		if is {
			if strings.HasSuffix(p.what, "multiplexer") {
				err = wire.Tx(addr, first[:], nil) // its channels as they were
			}
			item.What, item.Driver = p.what, p.driver
			return true, err
		}
	}
	item.What, item.Note = "unknown", "it says nothing of itself"
	for _, u := range usual {
		if addr >= u.low && addr <= u.high {
			item.What, item.Driver = u.what, u.driver
			break
		}
	}
	return here, nil
}

// answered tells a chip that is not there from a bus that does not work.
func answered(err error) (bool, error) {
	if sensors.ReasonOf(err) == sensors.Nack {
		return false, nil
	}
	return err == nil, err
}

// matches asks everything twice: a disturbed wire disturbs another bit the next
// time.
func (p *probe) matches(wire i2c.Bus, addr uint16) (bool, error) {
	for range 2 {
		for _, ask := range p.asks {
			send, want, _ := strings.Cut(ask, ":")
			w, _ := hex.DecodeString(send) // the table is right
			n := len(want) / 2
			if want == "~" {
				n = 7
			}
			if sum := strings.Count(want, "!"); sum > 0 {
				n = 3 * sum
			}
			got := make([]byte, n)
			var err error
			if strings.Contains(want, "!") { // a command, and its time
				if err = wire.Tx(addr, w, nil); err == nil {
					time.Sleep(2 * time.Millisecond)
					err = wire.Tx(addr, nil, got)
				}
			} else {
				err = wire.Tx(addr, w, got)
			}
			if here, err := answered(err); err != nil || !here || !fits(got, want) {
				return false, err
			}
		}
	}
	return true, nil
}

// fits compares bytes with digits of which "." is any.
func fits(got []byte, want string) bool {
	if want[0] == '~' { // the same byte seven times is no measurement
		return checksum(got[:6]) == got[6] && got[1]|got[2]|got[3]|got[4] != 0
	}
	if want[0] == '!' {
		for ; len(got) >= 3; got = got[3:] {
			if checksum(got[:2]) != got[2] || got[0]&got[1]&got[2] == 0xFF {
				return false
			}
		}
		return true
	}
	for i, digit := range []byte(hex.EncodeToString(got)) {
		if want[i] != '.' && want[i] != digit {
			return false
		}
	}
	return true
}

// checksum is Sensirion's: polynomial 0x31, start 0xFF.
func checksum(p []byte) byte {
	crc := byte(0xFF)
	for _, b := range p {
		crc ^= b
		for range 8 {
			high := crc >> 7
			crc = crc<<1 ^ high*0x31
		}
	}
	return crc
}
