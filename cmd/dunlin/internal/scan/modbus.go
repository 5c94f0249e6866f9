package scan

import (
	"context"
	"errors"
	"fmt"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// Line is a Modbus line to ask.
type Line struct {
	Target  string // as /dev/ttyUSB0 or 192.0.2.7:502
	TCP     bool
	Bauds   []int // in the order to try them
	Parity  []string
	Units   [2]int // first and last
	Options modbus.Options
	// Open opens it, with a speed and parity when it is serial.
	Open func(baud int, parity string) func(context.Context) (modbus.Conn, error)
	// Tried is called after each unit that was asked.
	Tried func()
}

// Tries is how many units are asked at most, at all speeds.
func (l *Line) Tries() int {
	n := l.Units[1] - l.Units[0] + 1
	if !l.TCP {
		n *= len(l.Bauds) * len(l.Parity)
	}
	return n
}

// Modbus asks every unit for one register, at each speed until somebody
// answers; a unit that refuses has answered too. It blocks for a time-out a
// unit and speed, as long as ctx lasts.
func (r *Report) Modbus(ctx context.Context, l Line) error {
	if l.TCP {
		l.Bauds, l.Parity = []int{0}, []string{""}
	}
	for _, baud := range l.Bauds {
		for _, parity := range l.Parity {
			o := l.Options
			o.TCP, o.Baud, o.Open = l.TCP, baud, l.Open(baud, parity)
			found, err := l.ask(ctx, o, r, baud, parity)
			if err != nil || found {
				return err
			}
		}
	}
	r.skip(fmt.Sprintf("%s: no unit %d to %d answers", l.Target, l.Units[0], l.Units[1]))
	return nil
}

func (l *Line) ask(ctx context.Context, o modbus.Options, r *Report, baud int, parity string) (found bool, err error) {
	m := modbus.New(o)
	defer m.Close()
	if err := m.Open(ctx); err != nil {
		return false, err
	}
	id := "modbus_" + sensors.EntityName(l.Target)
	bus := fmt.Sprintf("id: %s, type: modbus_rtu, port: {path: %s}, baud: %d, parity: %s", id, l.Target, baud, parity)
	at := fmt.Sprintf(", %d baud, parity %s", baud, parity)
	if l.TCP {
		bus, at = fmt.Sprintf("id: %s, type: modbus_tcp, address: %q", id, l.Target), ""
	}
	for unit := l.Units[0]; unit <= l.Units[1]; unit++ {
		table, err := first(ctx, m, byte(unit))
		if l.Tried != nil {
			l.Tried()
		}
		var refused modbus.Exception
		switch {
		case ctx.Err() != nil:
			return found, ctx.Err()
		case errors.As(err, &refused) && refused == modbus.GatewayTarget, errors.As(err, &refused) && refused == modbus.GatewayPath:
			continue // a gateway's word for silence
		case err != nil && !errors.As(err, &refused):
			continue
		}
		i := Item{Kind: "modbus", Where: fmt.Sprintf("%s unit %d", l.Target, unit), What: "unit" + at, Driver: "modbus", bus: bus,
			keys: fmt.Sprintf("bus: %s, unit: %d, registers: [{name: first, address: 0, table: %s}]", id, unit, table)}
		if err != nil {
			i.Note = fmt.Sprintf("has no register 0: %v", refused)
		}
		r.add(i)
		found, bus = true, "" // once
	}
	return found, nil
}

// first reads the first register of the tables that have some.
func first(ctx context.Context, m *modbus.Master, unit byte) (table string, err error) {
	var v [1]uint16
	var refused modbus.Exception
	if err = m.Read(ctx, unit, modbus.Holding, 0, v[:]); !errors.As(err, &refused) {
		return "holding", err
	}
	return "input", m.Read(ctx, unit, modbus.Input, 0, v[:])
}
