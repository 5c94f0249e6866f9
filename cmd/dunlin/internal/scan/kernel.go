package scan

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// kernel finds the chips that drivers of the kernel read.
func (o *Options) kernel(r *Report) {
	for _, class := range []struct{ kind, pattern, values string }{
		{"hwmon", "sys/class/hwmon/hwmon*", "/*_input"},
		{"iio", "sys/bus/iio/devices/iio:device*", "/in_*"},
	} {
		seen := map[string]bool{}
		for _, dir := range o.glob(class.pattern) {
			name := text(dir, "name")
			values, _ := filepath.Glob(dir + class.values) // the pattern is right
			if name == "" || len(values) == 0 || seen[name] {
				continue
			}
			seen[name] = true
			r.add(Item{Kind: class.kind, Where: name, What: fmt.Sprintf("%d values", len(values)), Driver: class.kind,
				keys: fmt.Sprintf("match: {name: [%q]}", name)})
		}
	}
}

// w1 finds the thermometers of the one-wire buses, by the families that the
// kernel's w1_therm knows.
func (o *Options) w1(r *Report) {
	families := map[string]string{"10": "DS18S20", "22": "DS1822", "28": "DS18B20", "3b": "DS1825", "42": "DS28EA00"}
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
