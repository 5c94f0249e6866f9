package scan

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// rtuLine is a line whose units understand one speed.
func rtuLine(t *testing.T, units *modbustest.Units, tried *[]string) Line {
	return Line{
		Target: "/dev/ttyUSB0", Bauds: []int{9600, 19200}, Parity: []string{"none", "even"}, Units: [2]int{1, 5},
		Options: modbus.Options{Timeout: 100 * time.Millisecond},
		Open: func(baud int, parity string) func(context.Context) (modbus.Conn, error) {
			return func(context.Context) (modbus.Conn, error) {
				*tried = append(*tried, parity)
				ours, theirs := net.Pipe()
				t.Cleanup(func() { theirs.Close() })
				if baud == 9600 && parity == "even" {
					go units.ServeRTU(theirs)
				} else {
					go func() { // noise to them
						b := make([]byte, 64)
						for {
							if _, err := theirs.Read(b); err != nil {
								return
							}
						}
					}()
				}
				return ours, nil
			}
		},
	}
}

func TestModbusUnitsAndSpeed(t *testing.T) { synctest.Test(t, unitsAndSpeed) }

func unitsAndSpeed(t *testing.T) {
	units := &modbustest.Units{}
	units.Set(2, modbustest.Holding, 0, 7)
	units.Set(3, modbustest.Input, 0, 8)
	units.Set(4, modbustest.Input, 100, 9) // has no register 0
	var tried []string
	r := &Report{}
	if err := r.Modbus(t.Context(), rtuLine(t, units, &tried)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tried, " "); got != "none even" {
		t.Errorf("tried %s: it must go on until somebody answers, and no further", got)
	}
	r.Configure(map[string]bool{})
	const want = `buses:
  - {id: modbus_dev_ttyusb0, type: modbus_rtu, port: {path: /dev/ttyUSB0}, baud: 9600, parity: even}
devices:
  - {name: ttyusb0_unit_2, driver: modbus, bus: modbus_dev_ttyusb0, unit: 2, registers: [{name: first, address: 0, table: holding}]}   # /dev/ttyUSB0 unit 2 unit, 9600 baud, parity even
  - {name: ttyusb0_unit_3, driver: modbus, bus: modbus_dev_ttyusb0, unit: 3, registers: [{name: first, address: 0, table: input}]}   # /dev/ttyUSB0 unit 3 unit, 9600 baud, parity even
  # - {name: ttyusb0_unit_4, driver: modbus, bus: modbus_dev_ttyusb0, unit: 4, registers: [{name: first, address: 0, table: input}]}   # /dev/ttyUSB0 unit 4 unit, 9600 baud, parity even
`
	if r.YAML != want {
		t.Errorf("got\n%s\nwant\n%s", r.YAML, want)
	}
}

func TestModbusSilence(t *testing.T) { synctest.Test(t, silence) }

func silence(t *testing.T) {
	var tried []string
	r, l := &Report{}, rtuLine(t, &modbustest.Units{}, &tried)
	asked := 0
	l.Units, l.Bauds, l.Options.Timeout, l.Tried = [2]int{1, 2}, []int{19200}, 20*time.Millisecond, func() { asked++ }
	if err := r.Modbus(t.Context(), l); err != nil || len(r.Items) != 0 || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0], "no unit 1 to 2 answers") {
		t.Errorf("%v, %+v", err, r)
	}
	if asked != l.Tries() || asked != 2*2 {
		t.Errorf("%d tries told of %d", asked, l.Tries())
	}
	l.Open = func(int, string) func(context.Context) (modbus.Conn, error) {
		return func(context.Context) (modbus.Conn, error) { return nil, context.Canceled }
	}
	if err := r.Modbus(t.Context(), l); err == nil {
		t.Error("a line that cannot be opened is no error")
	}
}
