package drivers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// setUp brings the chip from any state to the configured one.
func (d *bme280) setUp(ctx context.Context) error {
	d.last = bmeLast{math.NaN(), math.NaN(), math.NaN()}
	if err := d.identify(ctx); err != nil {
		return err
	}
	if err := d.put(ctx, bmeReset, bmeResetWord); err != nil {
		return err
	}
	if err := d.started(ctx); err != nil {
		return err
	}
	if err := d.readWords(ctx); err != nil {
		return err
	}
	// ctrl_hum counts from the next write of ctrl_meas on (5.4.3, p. 27), and
	// config may be ignored outside sleep (5.4.6, p. 29): so in this order.
	mode := d.mode
	if mode == 1 {
		mode = 0 // measure asks for each measurement
	}
	for _, r := range [][2]byte{{bmeCtrlHum, d.ctrlHum}, {bmeConfig, d.config}, {bmeCtrlMeas, d.ctrlMeas | mode}} {
		if r[0] == bmeCtrlHum && d.name != "bme280" {
			continue
		}
		if err := d.put(ctx, r[0], r[1]); err != nil {
			return err
		}
	}
	var back [4]byte
	if err := d.get(ctx, bmeCtrlHum, back[:]); err != nil {
		return err
	}
	if !d.holds(back[0], back[2], back[3]) {
		return d.fault(sensors.IO, fmt.Errorf("control registers read % x after writing %02x, %02x, %02x",
			back, d.ctrlHum, d.ctrlMeas|mode, d.config))
	}
	if mode == 3 {
		return d.finished(ctx) // until then the data registers say "skipped"
	}
	return nil
}

// identify reads the chip id and says what else is on the bus when it is not
// the configured chip's.
func (d *bme280) identify(ctx context.Context) error {
	var id [1]byte
	if err := d.get(ctx, bmeID, id[:]); err != nil {
		return err
	}
	if slices.Contains(d.ids, id[0]) {
		return nil
	}
	other := "another chip"
	switch id[0] {
	case 0xFF:
		return d.fault(sensors.OutOfRange, errors.New("the bus reads all ones: nothing drives the data line"))
	case 0x00:
		return d.fault(sensors.OutOfRange, errors.New("the bus reads all zeros: the data line is held low"))
	case 0x60:
		other = "a BME280: use driver bme280"
	case 0x56, 0x57, 0x58:
		other = "a BMP280, which measures no humidity: use driver bmp280"
	case 0x61:
		other = "a BME680"
	case 0x50:
		other = "a BMP388"
	case 0x55:
		other = "a BMP180"
	}
	return d.fault(sensors.WrongChip, fmt.Errorf("chip id 0x%02x is not that of a %s; it is %s", id[0], d.name, other))
}

// started waits until the chip has copied its trimming words after a reset.
func (d *bme280) started(ctx context.Context) error {
	if err := pause(ctx, bmeStartUp); err != nil {
		return err
	}
	for left := bmeStartUpWait; ; left -= bmePoll {
		var status [1]byte
		if err := d.tx(ctx, []byte{bmeStatus}, status[:]); err != nil {
			return err
		}
		if status[0]&bmeImUpdate == 0 {
			return nil
		}
		if left <= 0 {
			return d.fault(sensors.Timeout, fmt.Errorf("still copying its trimming words %v after a reset", bmeStartUpWait))
		}
		if err := pause(ctx, bmePoll); err != nil {
			return err
		}
	}
}

func (d *bme280) readWords(ctx context.Context) error {
	tp, hum := make([]byte, 26), []byte(nil)
	if err := d.get(ctx, bmeCalibTP, tp); err != nil {
		return err
	}
	if d.humidity {
		hum = make([]byte, 7)
		if err := d.get(ctx, bmeCalibH, hum); err != nil {
			return err
		}
	}
	w, err := parseBME280Words(tp, hum)
	if err != nil {
		return d.fault(sensors.OutOfRange, err)
	}
	d.w = w
	return nil
}

// measure makes one measurement in forced mode.
func (d *bme280) measure(ctx context.Context) error {
	if err := d.put(ctx, bmeCtrlMeas, d.ctrlMeas|1); err != nil {
		return err
	}
	return d.finished(ctx)
}

// finished waits for the measurement under way: for the longest time that the
// data sheet allows, then, polling, for as long again, since an oscillator
// slower than promised is no reason to lose the value.
func (d *bme280) finished(ctx context.Context) error {
	longest := d.longest()
	if err := pause(ctx, longest); err != nil {
		return err
	}
	for left := longest; ; left -= bmePoll {
		var now [2]byte // status, ctrl_meas
		if err := d.tx(ctx, []byte{bmeStatus}, now[:]); err != nil {
			return err
		}
		// A forced measurement is over when the chip sleeps again (3.3.3, p. 13).
		// In normal mode the next one may be under way: the first is over then.
		if d.mode == 3 || now[0]&bmeMeasuring == 0 && now[1]&bmeModeMask == 0 {
			return nil
		}
		if left <= 0 {
			return d.fault(sensors.Timeout, fmt.Errorf("still measuring after %v", 2*longest))
		}
		if err := pause(ctx, bmePoll); err != nil {
			return err
		}
	}
}

// longest is t_measure,max (Appendix B 9.1, p. 51), in normal mode twice that,
// for the oscillator.
func (d *bme280) longest() time.Duration {
	ms := 1.25 + 2.3*float64(d.o.Oversampling.Temperature)
	if n := d.o.Oversampling.Pressure; n > 0 {
		ms += 2.3*float64(n) + 0.575
	}
	if d.humidity {
		ms += 2.3*float64(d.o.Oversampling.Humidity) + 0.575
	}
	t := time.Duration(ms * float64(time.Millisecond))
	if d.mode == 3 {
		return 2 * t
	}
	return t
}

// get reads registers from reg on, twice, since the chip has no checksum.
func (d *bme280) get(ctx context.Context, reg byte, into []byte) error {
	return d.steady(ctx, []byte{reg}, into)
}

func (d *bme280) put(ctx context.Context, reg, value byte) error {
	return d.tx(ctx, []byte{reg, value}, nil)
}

func (d *bme280) fault(r sensors.Reason, err error) error { return d.i2cChip.fault(r, "%w", err) }

// pause waits for t, or for the end of ctx with its error.
func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
