package bus

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// fakeSPI answers every byte with its complement.
type fakeSPI struct {
	hertz  []int
	fault  func() error
	closed bool
}

func (f *fakeSPI) Tx(hertz int, w, r []byte) error {
	f.hertz = append(f.hertz, hertz)
	if f.fault != nil {
		if err := f.fault(); err != nil {
			return err
		}
	}
	for i := range w {
		r[i] = ^w[i]
	}
	return nil
}

func (f *fakeSPI) Close() error { f.closed = true; return nil }

func TestSPIIsOpenedOnceAndAgainWhenItWasPulled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New([]Spec{{ID: "adc", Type: "spi", Path: "/dev/spidev0.1", Speed: 1_000_000, Mode: 3}, {ID: "i2c1", Type: "i2c", Path: "/dev/i2c-1"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		raw, opened := &fakeSPI{}, 0
		b.openSPI = func(path string, mode int) (RawSPI, error) {
			if opened++; path != "/dev/spidev0.1" || mode != 3 {
				t.Errorf("opened %s in mode %d", path, mode)
			}
			return raw, nil
		}
		tx := func(hertz int) error {
			c, err := b.SPI("adc", hertz)
			if err != nil {
				return err
			}
			r := make([]byte, 2)
			if err := c.Tx([]byte{0x55, 0x0F}, r); err != nil {
				return err
			}
			if r[0] != 0xAA || r[1] != 0xF0 {
				t.Errorf("read % x", r)
			}
			return nil
		}
		// The bus's clock or the chip's, whichever is slower.
		if err := errors.Join(tx(500_000), tx(5_000_000)); err != nil || opened != 1 || raw.hertz[0] != 500_000 || raw.hertz[1] != 1_000_000 {
			t.Errorf("%v, opened %d times, clocks %v", err, opened, raw.hertz)
		}
		for _, gone := range []error{syscall.ENODEV, syscall.ESHUTDOWN} {
			opened, raw.closed = 0, false
			raw.fault = func() error { return gone }
			if err := tx(1); sensors.ReasonOf(err) != sensors.Unplugged {
				t.Errorf("a pulled adapter: %v", err)
			}
			raw.fault = nil
			if err := tx(1); err != nil || opened != 1 || !raw.closed {
				t.Errorf("after plugging in: %v, opened %d times, the old one closed: %v", err, opened, raw.closed)
			}
		}
		for _, id := range []string{"i2c1", "0", ""} {
			if _, err := b.SPI(id, 1); sensors.ReasonOf(err) != sensors.NotFound {
				t.Errorf("SPI(%q) = %v", id, err)
			}
		}
		if _, err := b.I2C("adc"); sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), "type spi") {
			t.Errorf("an SPI bus as I2C: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := tx(1); sensors.ReasonOf(err) != sensors.Shutdown {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestSPIHungTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		raw := &fakeSPI{fault: func() error { <-release; return nil }}
		s := NewSPI("adc", raw, 1, time.Second)
		r := make([]byte, 1)
		for _, after := range []time.Duration{time.Second, 0} {
			start := time.Now()
			if err := s.At(1).Tx([]byte{1}, r); sensors.ReasonOf(err) != sensors.Hung || time.Since(start) != after {
				t.Errorf("Tx = %v after %v, want hung after %v", err, time.Since(start), after)
			}
		}
		close(release)
		synctest.Wait()
		if r[0] != 0 || len(raw.hertz) != 1 {
			t.Errorf("a late transfer wrote % x; %d transfers were begun, want 1", r, len(raw.hertz))
		}
		if err := s.At(1).Tx([]byte{1}, r); err != nil {
			t.Errorf("after it returned: %v", err)
		}
		if err := s.At(1).Tx([]byte{1}, nil); sensors.ReasonOf(err) != sensors.IO {
			t.Errorf("a transfer of two lengths: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSPIOpenFaults(t *testing.T) {
	b, err := New([]Spec{{ID: "adc", Type: "spi", Path: t.TempDir() + "/spidev0.0", Speed: 1}}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.SPI("adc", 1); sensors.ReasonOf(err) != sensors.NotFound {
		t.Errorf("a node that is not there: %v", err)
	}
	b.openSPI = func(path string, _ int) (RawSPI, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
	}
	if _, err := b.SPI("adc", 1); sensors.ReasonOf(err) != sensors.Permission || !strings.Contains(err.Error(), "group spi") {
		t.Errorf("a node of somebody else: %v", err)
	}
}
