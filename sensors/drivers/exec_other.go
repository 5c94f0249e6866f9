//go:build !linux

package drivers

import (
	"errors"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func startChild([]string, sensors.Tracer) (serial.Port, error) {
	return nil, errors.New("driver exec is for Linux")
}
