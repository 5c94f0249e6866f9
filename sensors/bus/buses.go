package bus

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// transferBound is how long one I2C transfer may take before its bus counts as
// hung: adapters give up on their own after one second, the default of the
// kernel's i2c_adapter.timeout.
const transferBound = 2 * time.Second

// Spec is one entry of the configuration's buses.
type Spec struct {
	ID string
	// Type is "i2c", "tca9548a" for an I2C multiplexer, whose channels are the
	// buses ID/0 ... ID/7, "spi", "modbus_rtu" or "modbus_tcp".
	Type string
	// Path is the character device of an i2c or spi bus, as /dev/i2c-1 or
	// /dev/spidev0.0, or a link to it.
	Path string
	// Recovery is how an i2c bus is freed.
	Recovery Recovery
	// Speed is the clock of an spi bus in hertz, Mode its mode, 0 to 3.
	Speed, Mode int
	// Bus is the id of the bus that a multiplexer sits on, Address where.
	Bus     string
	Address int
	// Modbus is for the types "modbus_rtu", on Port, and "modbus_tcp", at Host
	// ("host:port"); Open and TCP of it are filled in here.
	Modbus modbus.Options
	Port   serial.Config
	Host   string
}

// Buses opens the hardware of this machine. It implements sensors.Buses.
type Buses struct {
	root  string
	specs map[string]Spec
	// openI2C opens the character device /dev/i2c-N.
	openI2C func(number int) (i2c.BusCloser, error)
	// openSPI opens the character device /dev/spidevB.C.
	openSPI func(path string, mode int) (RawSPI, error)
	trace   sensors.Tracer // of wires; nil: nobody wants to know
	texts   sensors.Tracer // of all else; nil: nobody wants to know
	tape    *tape          // plays in place of hardware; nil: the hardware

	mu     sync.Mutex
	guards map[int]*Guard  // by bus number, opened at first use
	spis   map[string]*SPI // by path, opened at first use
	lines  map[string]*modbus.Master
	closed bool
}

var (
	_ sensors.Buses   = (*Buses)(nil)
	_ sensors.Tracing = (*Buses)(nil)
)

// New checks the specs and opens nothing yet. root is the directory below
// which drivers read /proc and /sys; "" is "/".
func New(specs []Spec, root string) (*Buses, error) {
	if root == "" {
		root = "/"
	}
	b := &Buses{
		root: root, specs: map[string]Spec{},
		guards: map[int]*Guard{}, spis: map[string]*SPI{}, lines: map[string]*modbus.Master{},
		openI2C: openI2C, openSPI: openSPI,
	}
	var errs []error
	for _, s := range specs {
		if _, twice := b.specs[s.ID]; twice {
			errs = append(errs, fmt.Errorf("bus %q is configured twice", s.ID))
		}
		b.specs[s.ID] = s
	}
	for _, s := range specs {
		if err := b.check(s); err != nil {
			errs = append(errs, fmt.Errorf("bus %q: %w", s.ID, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Buses) check(s Spec) error {
	switch {
	case s.ID == "":
		return errors.New("has no id")
	case s.Type == "i2c" && s.Path == "":
		return errors.New("path is missing, as /dev/i2c-1")
	case s.Type == "spi" && s.Path == "":
		return errors.New("path is missing, as /dev/spidev0.0")
	case s.Type == "spi" && (s.Speed < 1 || s.Mode < 0 || s.Mode > 3):
		return fmt.Errorf("a clock of %d hertz in mode %d does not exist", s.Speed, s.Mode)
	case s.Type == "tca9548a" && (s.Address < 0x70 || s.Address > 0x77):
		return fmt.Errorf("address 0x%02x: a TCA9548A answers at 0x70 to 0x77", s.Address)
	case s.Type == "tca9548a":
		if parent, ok := b.specs[s.Bus]; !ok || parent.Type != "i2c" {
			return fmt.Errorf("sits on %q, which is no configured i2c bus", s.Bus)
		}
	case s.Type == "modbus_tcp" && s.Host == "":
		return errors.New("address is missing, as 192.0.2.7:502")
	case s.Type != "i2c" && s.Type != "spi" && s.Type != "modbus_rtu" && s.Type != "modbus_tcp":
		return fmt.Errorf("there is no type %q; there are i2c, tca9548a, spi, modbus_rtu and modbus_tcp", s.Type)
	}
	return nil
}

// Root implements sensors.Buses.
func (b *Buses) Root() string { return b.root }

// I2C implements sensors.Buses: id is a configured bus, a multiplexer's
// channel "mux0/2", or a bus number "1". It does not block on a busy bus.
func (b *Buses) I2C(id string) (i2c.Bus, error) {
	if b.tape != nil {
		return tapeI2C{b.tape, id}, nil
	}
	wire, err := b.openedI2C(id)
	if b.trace != nil && err == nil {
		return tracedI2C{wire, b.trace}, nil
	}
	return wire, err
}

func (b *Buses) openedI2C(id string) (i2c.Bus, error) {
	if name, channel, ok := splitChannel(id); ok {
		return b.channel(name, channel)
	}
	n, err := b.I2CNumber(id)
	if err != nil {
		return nil, err
	}
	return b.guard(id, n)
}

// I2CNumber implements sensors.Buses.
func (b *Buses) I2CNumber(id string) (int, error) {
	path := "/dev/i2c-" + id
	if s, ok := b.specs[id]; ok {
		switch s.Type {
		case "i2c":
		case "tca9548a":
			return 0, notFound("bus %s is a multiplexer: name one of its channels, %s/0 to %s/7", id, id, id)
		default:
			return 0, notFound("bus %s is of type %s", id, s.Type)
		}
		path = s.Path
	}
	n, err := i2cNumber(path)
	if err != nil {
		return 0, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("i2c bus %q: %w", id, err)}
	}
	return n, nil
}

// guard returns the shared bus of this number, opened again when its adapter
// had been pulled.
func (b *Buses) guard(id string, n int) (*Guard, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &sensors.Fault{Reason: sensors.Shutdown, Err: fmt.Errorf("%s: %w", id, ErrClosed)}
	}
	old, ok := b.guards[n]
	if ok && !old.gone.Load() {
		return old, nil
	}
	raw, err := b.openI2C(n)
	if err != nil {
		return nil, openFault(fmt.Sprintf("/dev/i2c-%d", n), "i2c", err)
	}
	if ok {
		if err := replaced(old, raw); err != nil {
			return nil, err
		}
	}
	g := NewGuard(id, raw, transferBound)
	b.guards[n] = g
	return g, nil
}

// replaced closes a bus whose adapter had gone, in favor of a new one. Its
// goroutine has nothing to wait for: its transfer returned with that error.
func replaced(old, by io.Closer) error {
	if err := old.Close(); errors.Is(err, ErrHung) {
		return &sensors.Fault{Reason: sensors.Hung, Err: errors.Join(err, by.Close())}
	}
	return nil
}

// i2cNumber finds the bus number behind a path, which may be a link that udev
// made.
func i2cNumber(path string) (int, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	digits, ok := strings.CutPrefix(path, "/dev/i2c-")
	n, err := strconv.ParseUint(digits, 10, 13)
	if !ok || err != nil {
		return 0, fmt.Errorf("%s is not an I2C bus: it must be /dev/i2c-N or a link to one", path)
	}
	return int(n), nil
}

// Port implements sensors.Buses.
func (b *Buses) Port(c serial.Config) (serial.Port, error) {
	if c.Root == "" {
		c.Root = b.root
	}
	name := c.Path
	if name == "" {
		name = c.USB.String()
	}
	if b.tape != nil {
		return b.tape.port(name, 0), nil
	}
	p, err := serial.Open(c)
	if err != nil {
		return nil, sensors.PortFault(err)
	}
	if control, ok := p.(serial.Control); ok && b.trace != nil {
		return tracedPort{p, control, tracedBytes{name, b.trace}}, nil
	}
	return p, nil
}

// Close ends every bus and waits for transfers under way, a hung one for no
// longer than two seconds. Lines and ports are their drivers' to close.
func (b *Buses) Close() error {
	b.mu.Lock()
	b.closed = true
	var open []io.Closer
	for _, g := range b.guards {
		open = append(open, g)
	}
	for _, s := range b.spis {
		open = append(open, s)
	}
	lines := b.lines
	b.guards, b.spis, b.lines = map[int]*Guard{}, map[string]*SPI{}, map[string]*modbus.Master{}
	b.mu.Unlock()
	errs := make(chan error, len(open))
	for _, c := range open {
		go func() { errs <- c.Close() }()
	}
	var all []error
	for _, m := range lines {
		all = append(all, m.Close())
	}
	for range open {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
