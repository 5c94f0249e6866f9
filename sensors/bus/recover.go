package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Recovery is how an I2C bus is freed that a chip holds: by clocks on SCL,
// driven as a GPIO line, or by taking the controller's driver off and on. The
// zero value is neither.
type Recovery struct {
	SCL, SDA sensors.LineOptions // SDA is only looked at; without a name and chip it is not
	Rebind   bool
}

var _ sensors.Recoverer = (*Buses)(nil)

// Recover implements sensors.Recoverer. A multiplexer's bus is the one that it
// sits on.
func (b *Buses) Recover(ctx context.Context, id string) (tried bool, err error) {
	name, _, _ := strings.Cut(id, "/") // a channel of a multiplexer
	s := b.specs[name]
	if s.Type == "tca9548a" {
		s = b.specs[s.Bus]
	}
	switch {
	case s.Recovery.Rebind:
		return true, b.rebind(s)
	case s.Recovery.SCL.Name == "" && s.Recovery.SCL.Chip == "":
		return false, nil
	}
	n, err := i2cNumber(s.Path)
	if err != nil {
		return true, err
	}
	g, err := b.guard(s.ID, n)
	if err != nil {
		return true, err
	}
	free := func() error { return clockOut(ctx, b.Line, s.Recovery) }
	if g.overdue.Load() > 0 {
		return true, free() // the transfer that hangs may be waiting for this
	}
	return true, g.do(place{}, free)
}

// clockOut gives up to nine clocks: a chip that was cut off in the middle of a
// byte lets go of SDA when it has sent the rest of it (UM10204, 3.1.16).
func clockOut(ctx context.Context, line func(sensors.LineOptions) (sensors.Line, error), r Recovery) (err error) {
	o := r.SCL
	o.Output, o.Drive, o.Initial, o.Consumer = true, sensors.OpenDrain, true, "dunlin recovery"
	scl, err := line(o)
	if err != nil {
		return fmt.Errorf("SCL: %w", err)
	}
	defer func() { err = errors.Join(err, scl.Close()) }()
	var sda sensors.Line
	if r.SDA.Name != "" || r.SDA.Chip != "" {
		if sda, err = line(r.SDA); err != nil {
			return fmt.Errorf("SDA: %w", err)
		}
		defer func() { err = errors.Join(err, sda.Close()) }()
	}
	for range 9 {
		if sda != nil {
			if high, err := sda.Read(); err != nil || high {
				return err
			}
		}
		for _, high := range []bool{false, true} {
			if err := scl.Write(high); err != nil {
				return err
			}
			time.Sleep(10 * time.Microsecond) // 50 kHz at most
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if sda == nil {
		return nil
	}
	if high, err := sda.Read(); err != nil || high {
		return err
	}
	return errors.New("SDA is low after nine clocks")
}

// rebind takes the driver off the bus's controller and puts it on again, which
// resets the controller. It needs the rights of root.
func (b *Buses) rebind(s Spec) error {
	n, err := i2cNumber(s.Path)
	if err != nil {
		return err
	}
	adapter, err := filepath.EvalSymlinks(filepath.Join(b.root, fmt.Sprintf("sys/bus/i2c/devices/i2c-%d", n)))
	if err != nil {
		return err
	}
	controller := filepath.Dir(adapter)
	driver, err := filepath.EvalSymlinks(filepath.Join(controller, "driver"))
	if err != nil {
		return err
	}
	b.mu.Lock()
	if g := b.guards[n]; g != nil {
		g.gone.Store(true) // its adapter ends here; the next use opens it anew
	}
	b.mu.Unlock()
	for _, file := range []string{"unbind", "bind"} {
		if err := os.WriteFile(filepath.Join(driver, file), []byte(filepath.Base(controller)), 0); err != nil {
			return err
		}
	}
	return nil
}
