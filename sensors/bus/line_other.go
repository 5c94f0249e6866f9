//go:build !linux

package bus

import (
	"errors"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Line implements sensors.Buses. GPIO lines exist on Linux only.
func (b *Buses) Line(sensors.LineOptions) (sensors.Line, error) {
	return nil, &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("GPIO lines need Linux")}
}

func allChips(string) ([]chip, error) { return nil, nil }
