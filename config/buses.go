package config

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bus is a wire that devices share. Its type decides which keys it has.
type Bus struct {
	ID   string `yaml:"id" req:"1" ex:"i2c1" doc:"what devices call it"`
	Type string `yaml:"type" req:"1" ex:"i2c" doc:"kind of bus"`
	// Options is *I2CBus, *SPIBus, *Multiplexer, *ModbusRTU or *ModbusTCP.
	Options any `yaml:"-"`
}

// I2CBus is a bus of the kernel.
type I2CBus struct {
	Path    Path         `yaml:"path" req:"1" ex:"/dev/i2c-1" doc:"device node"`
	Recover *BusRecovery `yaml:"recover" doc:"how the bus is freed when a chip holds it: {scl: GPIO3, sda: GPIO2} gives nine clocks, rebind takes the controller's driver off and on (as root)"`
}

// BusRecovery is how an I2C bus is freed.
type BusRecovery struct {
	SCL    GPIO `yaml:"scl" doc:"line of the clock"`
	SDA    GPIO `yaml:"sda" doc:"line of the data, to see when it is free"`
	Rebind bool `yaml:"-"`
}

// UnmarshalText takes the scalar form.
func (r *BusRecovery) UnmarshalText(text []byte) error {
	r.Rebind = true // a wrong word too: it is one mistake, not also a missing clock
	if string(text) != "rebind" {
		return fmt.Errorf("%q is neither rebind nor {scl: GPIO3}", text)
	}
	return nil
}

// Validate reports a recovery without a clock.
func (r *BusRecovery) Validate(report func(path, msg string)) {
	if !r.Rebind && r.SCL == "" {
		report("scl", "which line? for example GPIO3")
	}
}

// GPIO names a line: GPIO17, or gpiochip0/17 for one without a name.
type GPIO string

// Split returns the line's name, or its chip and offset.
func (g GPIO) Split() (name, chip string, offset int) {
	chip, number, ok := strings.Cut(string(g), "/")
	if n, err := strconv.Atoi(number); ok && err == nil {
		return "", chip, n
	}
	return string(g), "", 0
}

// SPIBus is one chip select of the kernel.
type SPIBus struct {
	Path  Path `yaml:"path" req:"1" ex:"/dev/spidev0.0" doc:"device node"`
	Speed int  `yaml:"speed" min:"1" max:"100000000" doc:"fastest clock in hertz; a chip that is slower gets its own"`
	Mode  int  `yaml:"mode" min:"0" max:"3" doc:"clock polarity and phase; 0 is right for every driver of this version"`
}

// Multiplexer is a TCA9548A: eight I2C buses called ID/0 to ID/7.
type Multiplexer struct {
	Bus     string `yaml:"bus" req:"1" ex:"i2c1" doc:"bus that it is on"`
	Address int    `yaml:"address" min:"0x70" max:"0x77" doc:"0x70 to 0x77"`
}

// Port says which serial port is meant.
type Port struct {
	Path Path `yaml:"path" doc:"device node or a link to one"`
	USB  *USB `yaml:"usb" doc:"USB adapter by identity"`
}

// USB is the identity of an adapter; what is empty matches anything.
type USB struct {
	VID       string `yaml:"vid" doc:"vendor id, four hexadecimal digits"`
	PID       string `yaml:"pid" doc:"product id, four hexadecimal digits"`
	Serial    string `yaml:"serial" doc:"serial number"`
	Interface string `yaml:"interface" doc:"interface number, for adapters with several ports"`
	PortPath  string `yaml:"port_path" doc:"USB socket, as 1-1.3"`
}

// RS485 says who turns a two-wire line around.
type RS485 struct {
	Mode            string        `yaml:"mode" enum:"adapter|kernel" doc:"adapter does it by itself, kernel has the port's driver do it with RTS"`
	RTSOnSend       bool          `yaml:"rts_on_send" doc:"kernel: RTS is active while sending"`
	DelayBeforeSend time.Duration `yaml:"delay_before_send" max:"100ms" doc:"kernel: from RTS to the first bit" ex:"1ms"`
	DelayAfterSend  time.Duration `yaml:"delay_after_send" max:"100ms" doc:"kernel: from the last bit to RTS" ex:"1ms"`
	HearSelf        bool          `yaml:"receive_while_sending" doc:"kernel: the receiver stays on while sending"`
}

// ModbusRTU is a serial Modbus line.
type ModbusRTU struct {
	Port       Port          `yaml:"port" req:"1" ex:"{path: /dev/ttyAMA0}" doc:"serial port"`
	Baud       int           `yaml:"baud" min:"50" max:"20000000" doc:"speed in bits per second"`
	Parity     string        `yaml:"parity" enum:"none|even|odd" doc:"parity bit"`
	StopBits   int           `yaml:"stop_bits" enum:"1|2" doc:"stop bits"`
	Timeout    time.Duration `yaml:"timeout" min:"1ms" max:"1m" doc:"longest wait for an answer" ex:"300ms"`
	Turnaround time.Duration `yaml:"turnaround" max:"10s" doc:"silence between two requests" ex:"20ms"`
	Recovery   time.Duration `yaml:"recovery" max:"1m" doc:"for how long a unit that owes an answer is not asked again" ex:"1s"`
	Settle     time.Duration `yaml:"settle" max:"1m" doc:"pause after the port was opened" ex:"2s"`
	RS485      RS485         `yaml:"rs485" doc:"who turns the two-wire line around"`
}

// ModbusTCP is a Modbus server in the network.
type ModbusTCP struct {
	Address    string        `yaml:"address" req:"1" ex:"192.0.2.7:502" doc:"host:port"`
	Timeout    time.Duration `yaml:"timeout" min:"1ms" max:"1m" doc:"longest wait for an answer" ex:"1s"`
	Turnaround time.Duration `yaml:"turnaround" max:"10s" doc:"pause between two requests" ex:"20ms"`
	Settle     time.Duration `yaml:"settle" max:"1m" doc:"pause after connecting" ex:"100ms"`
}

func busTypeNames() []string {
	return []string{"i2c", "modbus_rtu", "modbus_tcp", "spi", "tca9548a"}
}

// newBusOptions returns the keys of a type with their defaults, nil for a type
// that does not exist.
func newBusOptions(typ string) any {
	switch typ {
	case "i2c":
		return &I2CBus{}
	case "spi":
		return &SPIBus{Speed: 1_000_000}
	case "tca9548a":
		return &Multiplexer{Address: 0x70}
	case "modbus_rtu":
		return &ModbusRTU{Baud: 9600, Parity: "none", StopBits: 1, Timeout: 300 * time.Millisecond, Turnaround: 20 * time.Millisecond, Recovery: time.Second, RS485: RS485{Mode: "adapter"}}
	case "modbus_tcp":
		return &ModbusTCP{Timeout: time.Second}
	}
	return nil
}

// Validate tells the two ways of naming a port apart.
func (p *Port) Validate(report func(path, msg string)) {
	switch {
	case p.Path == "" && p.USB == nil:
		report("", "which port? give path or usb")
	case p.Path != "" && p.USB != nil:
		report("usb", "not together with path: one of them decides")
	}
}

// Validate checks the digits of an identity.
func (u *USB) Validate(report func(path, msg string)) {
	for _, id := range []struct{ key, value string }{{"vid", u.VID}, {"pid", u.PID}} {
		if _, err := strconv.ParseUint(id.value, 16, 16); id.value != "" && (err != nil || len(id.value) != 4) {
			report(id.key, strconv.Quote(shorten(id.value))+" is not four hexadecimal digits, as \"0403\"")
		}
	}
	if u.VID == "" && u.PID == "" && u.Serial == "" && u.PortPath == "" {
		report("", "names no adapter: give vid and pid, serial or port_path")
	}
}

func (b *Bus) bind(l *loader, n *node, path string) {
	if n.kind != mapping {
		l.fail(n, path, "for example {id: i2c1, type: i2c, path: /dev/i2c-1}", "expected a mapping (key: value), found %s", n.is())
		return
	}
	typ := l.peek(n, "type")
	b.Options = newBusOptions(typ)
	common := reflect.ValueOf(b).Elem()
	if b.Options == nil {
		l.bindMapping(n, path, shared{lenient: true}, common)
		if typ != "" {
			l.failAt(join(path, "type"), oneOf(typ, busTypeNames()), "type cannot be %q", shorten(typ))
		}
		return
	}
	l.bindMapping(n, path, shared{}, common, reflect.ValueOf(b.Options).Elem())
}

// peek returns the text of a key that decides about the others, "" when it is
// missing or wrong; binding the mapping reports that.
func (l *loader) peek(n *node, key string) string {
	e, ok := n.get(key)
	if !ok || e.value.kind != scalar {
		return ""
	}
	s, fault, _ := expandEnv(e.value.text, l.env)
	if fault != "" {
		return ""
	}
	return s
}

func checkBuses(l *loader, buses []Bus) {
	seen := map[string]int{}
	for i, b := range buses {
		p := join(index("buses", i), "id")
		if b.ID == "" {
			continue
		}
		l.failIf(nameFault(b.ID), p, "", "id %s")
		if j, twice := seen[b.ID]; twice {
			l.failAt(p, l.first(join(index("buses", j), "id")), "bus %q is here twice", shorten(b.ID))
			continue
		}
		seen[b.ID] = i
	}
	for i, b := range buses {
		if tcp, ok := b.Options.(*ModbusTCP); ok && tcp.Address != "" {
			if _, _, err := net.SplitHostPort(tcp.Address); err != nil {
				l.failAt(join(index("buses", i), "address"), "for example address: 192.0.2.7:502", "address needs host:port")
			}
		}
		if mux, ok := b.Options.(*Multiplexer); ok && mux.Bus != "" {
			checkMultiplexer(l, buses, b.ID, mux.Bus, join(index("buses", i), "bus"))
		}
	}
}

// checkMultiplexer: it stands on a bus of the kernel that is listed.
func checkMultiplexer(l *loader, buses []Bus, id, ref, path string) {
	fault, hint := busFault(buses, ref, "")
	if fault == "" && !slices.ContainsFunc(buses, func(b Bus) bool { return b.ID == ref && b.Type == "i2c" }) {
		fault, hint = "must be the id of an i2c bus", "for example {id: i2c1, type: i2c, path: /dev/i2c-1}, and for "+id+" bus: i2c1"
	}
	l.failIf(fault, path, hint, "bus %s")
}

// busFault says why a reference to a bus cannot be right, "" when it can. want
// begins the types of bus that will do; "" is one of the kernel or a channel of
// a multiplexer. A plain number is a bus of the kernel and needs no entry.
func busFault(buses []Bus, ref, want string) (fault, hint string) {
	example := ", type: i2c, path: /dev/i2c-1}"
	switch want {
	case "spi":
		example = ", type: spi, path: /dev/spidev0.0}"
	case "modbus":
		example = ", type: modbus_rtu, port: {path: /dev/ttyUSB0}}"
	}
	if strings.HasPrefix(ref, "/") {
		return "must be an id from buses, not a path", "under buses: - {id: main" + example + ", and here bus: main"
	}
	if _, err := strconv.ParseUint(ref, 10, 8); err == nil && want == "" {
		return "", ""
	}
	id, channel, hasChannel := strings.Cut(ref, "/")
	i := slices.IndexFunc(buses, func(b Bus) bool { return b.ID == id })
	if i < 0 {
		var ids []string
		for _, b := range buses {
			ids = append(ids, b.ID)
		}
		if strings.Join(ids, "") == "" {
			return strconv.Quote(shorten(ref)) + " is not among buses", "there are none: add buses: [{id: " + shorten(id) + example + "]"
		}
		return strconv.Quote(shorten(ref)) + " is not among buses", oneOf(id, ids)
	}
	if buses[i].Options == nil {
		return "", "" // its type is wrong, which was said
	}
	_, mux := buses[i].Options.(*Multiplexer)
	switch {
	case mux && (len(channel) != 1 || channel[0] < '0' || channel[0] > '7'):
		return strconv.Quote(shorten(ref)) + " needs a channel: " + id + " is a multiplexer", "one of " + id + "/0 to " + id + "/7"
	case !mux && hasChannel:
		return strconv.Quote(shorten(ref)) + " cannot have a channel: " + id + " is no multiplexer", "did you mean " + id + "?"
	case want == "" && buses[i].Type != "i2c" && !mux, !strings.HasPrefix(buses[i].Type, want):
		return strconv.Quote(shorten(ref)) + " is of type " + buses[i].Type + ": this driver cannot use it", ""
	}
	return "", ""
}
