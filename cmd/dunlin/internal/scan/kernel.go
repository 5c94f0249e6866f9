package scan

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// kernel finds the chips that drivers of the kernel read. Chips of one name are
// one device.
func (o *Options) kernel(r *Report) {
	for _, class := range []struct {
		kind, chips string
		values      []string // of which the driver reads one a channel
	}{
		{"hwmon", "sys/class/hwmon/hwmon*", []string{"temp*_input", "in*_input", "fan*_input", "curr*_input", "power*_input", "power*_average", "humidity*_input"}},
		{"iio", "sys/bus/iio/devices/iio:device*", []string{"in_*_input", "in_*_raw"}},
	} {
		var names []string
		count := map[string]int{}
		for _, dir := range o.glob(class.chips) {
			name, n := text(dir, "name"), channels(dir, class.values)
			if name == "" || n == 0 {
				continue
			}
			if count[name] == 0 {
				names = append(names, name)
			}
			count[name] += n
		}
		for _, name := range names {
			what := "1 value"
			if n := count[name]; n > 1 {
				what = fmt.Sprintf("%d values", n)
			}
			r.add(Item{Kind: class.kind, Where: name, What: what, Driver: class.kind, keys: fmt.Sprintf("match: {name: [%q]}", name)})
		}
	}
}

// channels counts what a chip measures: a channel may have several files.
func channels(dir string, patterns []string) int {
	found := map[string]bool{}
	for _, pattern := range patterns {
		files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is right
		for _, file := range files {
			found[file[:strings.LastIndexByte(file, '_')]] = true
		}
	}
	return len(found)
}

// w1 finds the thermometers of the one-wire buses, by the families that the
// kernel's w1_therm knows.
func (o *Options) w1(r *Report) {
	families := map[string]string{"10": "DS18S20", "22": "DS1822", "28": "DS18B20", "3b": "DS1825 or MAX31850", "42": "DS28EA00"}
	for _, dir := range o.glob("sys/bus/w1/devices/*-*") {
		id := filepath.Base(dir)
		family, _, _ := strings.Cut(id, "-")
		if what := families[family]; what != "" {
			r.add(Item{Kind: "w1", Where: id, What: what, Driver: "w1_therm", keys: "address: " + id})
		} else if !strings.HasPrefix(id, "w1_bus") {
			r.add(Item{Kind: "w1", Where: id, What: "family " + family, Note: "no thermometer"})
		}
	}
}

func (o *Options) spi(r *Report) {
	nodes := o.glob("dev/spidev*")
	for _, node := range nodes {
		r.add(Item{Kind: "spi", Where: "/dev/" + filepath.Base(node), What: "chip select", Note: "not asked: what is sent to a chip on SPI is an order"})
	}
}

func (o *Options) serial(r *Report) {
	ports, err := serial.List(o.Root)
	if err != nil {
		r.skip("serial ports: " + err.Error())
	}
	for _, p := range ports {
		i := Item{Kind: "serial", Where: "/dev/" + p.Name, What: strings.TrimSpace(p.Manufacturer + " " + p.Product), keys: "port: {path: /dev/" + p.Name + "}"}
		if p.IsUSB() {
			i.Note = p.USB.String()
			i.keys = port(p.USB)
		}
		r.add(i)
	}
	if len(ports) > 0 {
		r.skip("serial ports: not opened, since that can reset what is behind them; --modbus PORT asks for Modbus units")
	}
}

// port is how the configuration names an adapter, so that another socket or
// another order of starting does not matter.
func port(u serial.USBID) string {
	s := fmt.Sprintf("port: {usb: {vid: %q, pid: %q", u.VID, u.PID)
	switch {
	case u.Serial != "":
		s += fmt.Sprintf(", serial: %q", u.Serial)
	case u.PortPath != "":
		s += fmt.Sprintf(", port_path: %q", u.PortPath)
	}
	return s + "}}"
}

func (o *Options) gpio(r *Report) {
	chips, err := o.GPIO(o.Root)
	if err != nil {
		r.skip("GPIO: " + err.Error())
	}
	for _, c := range chips {
		i := Item{Kind: "gpio", Where: c.Name, What: fmt.Sprintf("%s, %d lines", c.Label, c.Lines), Note: fmt.Sprintf("%d in use", c.InUse)}
		if len(c.Used) > 0 {
			i.Note += ": " + strings.Join(c.Used, ", ")
		}
		if len(c.Free) > 0 {
			i.Note += "; free: " + strings.Join(c.Free, " ")
		} else {
			i.Note += "; the free ones have no names: {chip: " + c.Label + ", offset: N}"
		}
		r.add(i)
	}
}
