package sensors

import (
	"context"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// Buses is the hardware as drivers see it. sensors/bus implements it on the
// kernel; tests hand in chip models, fake lines and directory trees. Its
// methods are safe for concurrent use: drivers run side by side.
type Buses interface {
	// I2C returns the bus with this id of the configuration ("i2c1", or a
	// multiplexer's channel "mux0/2"), or by number as "1". The bus belongs to
	// Buses: drivers share it and never close it. One Tx runs at a time; an
	// error of Tx is a *Fault (nack, timeout, io, ...).
	I2C(id string) (i2c.Bus, error)
	// SPI returns the bus with this id of the configuration, for a chip whose
	// clock may be no faster than hertz. A Tx reads as many bytes as it writes.
	// It belongs to Buses as an I2C bus does.
	SPI(id string, hertz int) (conn.Conn, error)
	// I2CNumber returns N of the bus's /dev/i2c-N, as the kernel calls it in
	// sysfs; ids are those of I2C, but for a multiplexer's channels.
	I2CNumber(id string) (int, error)
	// Line requests one GPIO line for this driver alone; the driver closes it.
	// Errors are *Fault: not_found, busy, permission, io.
	Line(o LineOptions) (Line, error)
	// Port opens a serial port for this driver alone; the driver closes it.
	// Errors are *Fault: not_found, unplugged, busy, permission, io.
	Port(c serial.Config) (serial.Port, error)
	// Modbus returns the line with this id of the configuration. It belongs to
	// Buses: drivers share it and never close it. Errors are *Fault.
	Modbus(id string) (*modbus.Master, error)
	// Root is the directory below which /proc and /sys are read: "/" on a real
	// machine, a tree of files in tests.
	Root() string
}

// Tracer is told of what was sent and received, after it; it must keep neither.
// Where is the bus and the address on it, the port, the line, the file or the
// program. It may be called from several goroutines.
type Tracer func(where string, sent, received []byte, err error)

// Tracing is a Buses that somebody watches.
type Tracing interface {
	// Texts is told of what drivers read and write past Buses, files of the
	// kernel and programs; nil: nobody wants to know.
	Texts() Tracer
}

// Bias is the resistor that the line's controller switches on.
type Bias string

// The biases of the kernel's GPIO interface; "" leaves the line as it is.
const (
	BiasAsIs     Bias = ""
	BiasDisabled Bias = "disabled"
	PullUp       Bias = "pull_up"
	PullDown     Bias = "pull_down"
)

// Drive is how an output drives its line.
type Drive string

// The drives of the kernel's GPIO interface; "" is push-pull.
const (
	PushPull   Drive = ""
	OpenDrain  Drive = "open_drain"
	OpenSource Drive = "open_source"
)

// Edges are the changes of an input that are events.
type Edges string

// The edges of the kernel's GPIO interface; "" is none. They are logical:
// Rising is from inactive to active.
const (
	NoEdges   Edges = ""
	BothEdges Edges = "both"
	Rising    Edges = "rising"
	Falling   Edges = "falling"
)

// LineOptions says which GPIO line is wanted and how. Everything takes effect
// in the one request that claims the line, so an output never shows another
// level than Initial, not for a microsecond.
type LineOptions struct {
	// Name is the line's name in the device tree, as "GPIO17"; when it is "",
	// Chip and Offset name the line. Legacy global numbers are not taken: the
	// kernel renumbers them.
	Name string
	// Chip is a chip's label ("pinctrl-bcm2835") or name ("gpiochip0").
	Chip   string
	Offset int
	// Consumer is shown by gpioinfo as the line's user.
	Consumer string

	Output    bool
	ActiveLow bool // active is the low level
	Bias      Bias
	// Drive is for outputs.
	Drive Drive
	// Initial is the logical state of an output from its request on: true is
	// active.
	Initial bool
	// Keep has an output that is one already stay at its level, whoever made it
	// one; Initial is for a line that is none, or does not tell.
	Keep bool
	// Edges asks for events on edges of an input.
	Edges Edges
	// Debounce is the time that an input must be stable before its edge
	// counts, in the kernel where it can; 0 is none.
	Debounce time.Duration
}

// LineEvent is one edge of an input, as the kernel saw it.
type LineEvent struct {
	Active bool // the logical state after the edge
	// At is when the kernel saw the edge, on the time line of time.Now.
	At time.Time
	// Seq counts the edges of this line since its request, from 1. A gap means
	// that events were lost.
	Seq uint32
}

// Line is one claimed GPIO line. Levels are logical: true is active, with
// active_low taken into account. Read and Write do not change the direction.
type Line interface {
	// Read returns the state of an input, or the driven state of an output.
	Read() (bool, error)
	// Write drives an output.
	Write(active bool) error
	// Event returns the next edge in order; it blocks until there is one, ctx
	// ends (its error) or the line is closed.
	Event(ctx context.Context) (LineEvent, error)
	// Close gives the line back to the kernel, which may let it float: outputs
	// want external resistors. It ends a blocked Event.
	Close() error
}
