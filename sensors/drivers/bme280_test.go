package drivers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

// bench is one driver with its chip on a simulated bus, inside a bubble.
type bench struct {
	bus  *chipsim.Bus
	chip *chipsim.BME280
	d    sensors.Driver
	hw   *fakeHardware
}

const climateAddress = 0x76

// onBench runs f in a bubble with a driver that is not open yet.
func onBench(t *testing.T, driver string, id byte, set func(*bmeOptions), entities map[string]any, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{bus: &chipsim.Bus{}, chip: chipsim.NewBME280(id, chipsim.Typical())}
		b.bus.Plug(climateAddress, b.chip)
		g := bus.NewGuard("i2c1", b.bus, 2*time.Second)
		defer g.Close()
		b.hw = &fakeHardware{i2c: map[string]i2c.Bus{"i2c1": g}}
		b.d = mustBuild(t, driver, func(o any) {
			opts := o.(*bmeOptions)
			opts.Bus = "i2c1"
			if set != nil {
				set(opts)
			}
		}, entities)
		f(t, b)
	})
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	if err := b.d.Open(t.Context(), b.hw); err != nil {
		t.Fatal(err)
	}
}

// read returns the values of one reading that must succeed as a whole.
func (b *bench) read(t *testing.T) map[string]float64 {
	t.Helper()
	list, err := b.d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for _, r := range list {
		if r.Err != nil {
			t.Fatalf("%s: %v", r.Entity, r.Err)
		}
		m[r.Entity] = r.Value.(float64)
	}
	return m
}

func TestBME280ReferenceVector(t *testing.T) {
	c := chipsim.Typical()
	w := bme280Words{t1: c.T1, t2: c.T2, t3: c.T3, p1: c.P1, p2: c.P2, p3: c.P3, p4: c.P4, p5: c.P5, p6: c.P6, p7: c.P7, p8: c.P8, p9: c.P9}
	centi, fine := w.temperature(519888)
	if centi != 2508 || fine != 128422 {
		t.Errorf("temperature = %d, t_fine %d, want 2508 and 128422 (BST-BMP280-DS001 3.12)", centi, fine)
	}
	if pa := float64(w.pressure(415148, fine)) / 256; math.Abs(pa-100653.27) > 0.05 {
		t.Errorf("pressure = %.2f Pa, want 100653.27 (BST-BMP280-DS001 3.12)", pa)
	}
}

func TestBME280ReturnsWhatIsThere(t *testing.T) {
	for _, mode := range []string{"forced", "normal"} {
		t.Run(mode, func(t *testing.T) {
			full := func(o *bmeOptions) { o.Mode, o.Oversampling = mode, bmeOversampling{16, 16, 16} }
			onBench(t, "bme280", 0x60, full, nil, func(t *testing.T, b *bench) {
				b.open(t)
				r := rand.New(rand.NewPCG(1, 280))
				for range 3000 {
					temp, press, hum := -39.9+r.Float64()*124.8, 301+r.Float64()*798, r.Float64()*100
					b.chip.Set(temp, press, hum)
					time.Sleep(200 * time.Millisecond)
					got := b.read(t)
					// Output resolutions of the integer formulas: 0.01 °C,
					// 0.18 Pa at 20 bits and half an LSB of t_fine, 0.008 %.
					near(t, "temperature", got["temperature"], temp, 0.0101)
					near(t, "pressure", got["pressure"], press, 0.01)
					near(t, "humidity", got["humidity"], hum, 0.03)
				}
			})
		})
	}
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Fatalf("%s = %v, want %v within %v", what, got, want, within)
	}
}

func TestBMP280HasNoHumidity(t *testing.T) {
	onBench(t, "bmp280", 0x58, nil, nil, func(t *testing.T, b *bench) {
		b.open(t)
		b.chip.Set(21.5, 987.6, 40)
		got := b.read(t)
		if _, there := got["humidity"]; there || len(got) != 2 {
			t.Errorf("readings %v, want temperature and pressure", got)
		}
		near(t, "temperature", got["temperature"], 21.5, 0.02)
		near(t, "pressure", got["pressure"], 987.6, 0.05)
	})
}

func TestBME280SeaLevel(t *testing.T) {
	e := &bmeEntity{}
	if err := e.SeaLevelAltitude.UnmarshalText([]byte("212m")); err != nil {
		t.Fatal(err)
	}
	onBench(t, "bme280", 0x60, nil, map[string]any{"pressure": e}, func(t *testing.T, b *bench) {
		b.open(t)
		b.chip.Set(15, 988.0, 40) // the standard atmosphere at 212 m has 988.04 hPa
		near(t, "pressure", b.read(t)["pressure"], 1013.25, 0.1)
	})
	if _, err := build(t, "bme280", nil, map[string]any{"temperature": e}); err == nil {
		t.Error("sea_level_altitude is accepted for temperature")
	}
	for _, bad := range []string{"", "high", "212ft", "NaN", "1e9"} {
		if err := new(altitude).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("altitude %q is accepted", bad)
		}
	}
}

// fails reads until one read fails and returns its reason and how many were
// good before. No reading may carry a value that the chip did not measure.
func (b *bench) reason(t *testing.T) sensors.Reason {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	list, err := b.d.Read(ctx)
	if err == nil {
		for _, r := range list {
			if r.Err != nil {
				return sensors.ReasonOf(r.Err)
			}
		}
		t.Fatalf("read %v, want a failure", values(list))
	}
	return sensors.ReasonOf(err)
}

func TestBME280FaultsHaveOneReason(t *testing.T) {
	fail := func(e error) func(int, uint16) error { return func(int, uint16) error { return e } }
	for _, tc := range []struct {
		name string
		hurt func(b *bench)
		want sensors.Reason
	}{
		{"the chip is pulled", func(b *bench) { b.bus.Plug(climateAddress, nil) }, sensors.Nack},
		{"ENXIO", func(b *bench) { b.bus.Fault(fail(syscall.ENXIO)) }, sensors.Nack},
		{"ETIMEDOUT", func(b *bench) { b.bus.Fault(fail(syscall.ETIMEDOUT)) }, sensors.Timeout},
		{"EIO", func(b *bench) { b.bus.Fault(fail(syscall.EIO)) }, sensors.IO},
		{"EAGAIN", func(b *bench) { b.bus.Fault(fail(syscall.EAGAIN)) }, sensors.IO},
		{"ENODEV", func(b *bench) { b.bus.Fault(fail(syscall.ENODEV)) }, sensors.Unplugged},
		{"all ones", func(b *bench) { b.bus.Plug(climateAddress, chipsim.Stuck(0xFF)) }, sensors.OutOfRange},
		{"all zeros", func(b *bench) { b.bus.Plug(climateAddress, chipsim.Stuck(0x00)) }, sensors.OutOfRange},
		{"brown-out", func(b *bench) { b.chip.BrownOut() }, sensors.Brownout},
		{"a conversion that never ends", func(b *bench) { b.chip.Stall() }, sensors.Timeout},
		{"an oscillator at a tenth", func(b *bench) { b.chip.Slow(10) }, sensors.Timeout},
		{"another chip in its place", func(b *bench) {
			b.bus.Plug(climateAddress, chipsim.NewBME280(0x58, chipsim.Typical()))
		}, sensors.WrongChip},
		{"temperature skipped", func(b *bench) { b.chip.SetRaw(0x80000, 0x80000, 0x8000) }, sensors.OutOfRange},
		{"humidity skipped", func(b *bench) { b.chip.SetRaw(519888, 415148, 0x8000) }, sensors.OutOfRange},
		{"pressure skipped", func(b *bench) { b.chip.SetRaw(519888, 0x80000, 30000) }, sensors.OutOfRange},
		{"too hot", func(b *bench) { b.chip.Set(99, 1000, 50) }, sensors.OutOfRange},
		{"pressure beyond its range", func(b *bench) { b.chip.Set(20, 1150, 50) }, sensors.OutOfRange},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
				b.open(t)
				b.read(t)
				tc.hurt(b)
				if got := b.reason(t); got != tc.want {
					t.Errorf("reason %q, want %q", got, tc.want)
				}
			})
		})
	}
}

// The count of a skipped measurement is a value where the one before was near:
// this chip's is 26.4 °C, which rooms have for hours.
func TestBME280AtTheCountOfASkippedMeasurement(t *testing.T) {
	onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
		b.open(t)
		b.chip.SetRaw(0x80000+500, 415148, 0x8000+100)
		before := b.read(t)
		b.chip.SetRaw(0x80000, 415148, 0x8000)
		now := b.read(t)
		near(t, "temperature", now["temperature"], before["temperature"], 0.3)
		near(t, "humidity", now["humidity"], before["humidity"], 1)
		b.chip.SetRaw(0x80000+50000, 415148, 0x8000)
		b.chip.BrownOut()
		b.reason(t)
		b.chip.SetRaw(0x80000, 415148, 0x8000)
		if got := b.reason(t); got != sensors.OutOfRange {
			t.Errorf("reason %q with nothing before", got)
		}
	})
}

func TestBME280OpenFaults(t *testing.T) {
	for _, tc := range []struct {
		name string
		chip chipsim.Chip
		want sensors.Reason
		says string
	}{
		{"nobody there", nil, sensors.Nack, "0x76"},
		{"a BMP280", chipsim.NewBME280(0x58, chipsim.Typical()), sensors.WrongChip, "use driver bmp280"},
		{"a BME680", chipsim.NewBME280(0x61, chipsim.Typical()), sensors.WrongChip, "BME680"},
		{"all ones", chipsim.Stuck(0xFF), sensors.OutOfRange, "all ones"},
		{"all zeros", chipsim.Stuck(0), sensors.OutOfRange, "all zeros"},
		{"no trimming words", chipsim.NewBME280(0x60, chipsim.Calibration{}), sensors.OutOfRange, "trimming"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
				b.bus.Plug(climateAddress, tc.chip)
				err := b.d.Open(t.Context(), b.hw)
				if sensors.ReasonOf(err) != tc.want || !strings.Contains(fmt.Sprint(err), tc.says) {
					t.Errorf("Open = %v, want reason %s and %q", err, tc.want, tc.says)
				}
			})
		})
	}
}

func TestBME280ToleratesASlowOscillator(t *testing.T) {
	onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
		b.open(t)
		b.chip.Slow(1.5)
		for i := range 50 {
			want := 10 + float64(i)
			b.chip.Set(want, 1000, 50)
			near(t, "temperature", b.read(t)["temperature"], want, 0.02)
		}
	})
}

func TestBME280IsSetUpAgainAfterABrownOut(t *testing.T) {
	for _, mode := range []string{"forced", "normal"} {
		t.Run(mode, func(t *testing.T) {
			set := func(o *bmeOptions) { o.Mode, o.Filter = mode, 4 }
			onBench(t, "bme280", 0x60, set, nil, func(t *testing.T, b *bench) {
				b.open(t)
				hum, config := b.chip.Register(0xF2), b.chip.Register(0xF5)
				b.chip.BrownOut()
				if got := b.reason(t); got != sensors.Brownout {
					t.Fatalf("reason %q, want brownout", got)
				}
				b.chip.Set(31.25, 1000, 50)
				time.Sleep(time.Second)
				near(t, "temperature", b.read(t)["temperature"], 31.25, 0.02)
				if b.chip.Register(0xF2) != hum || b.chip.Register(0xF5) != config {
					t.Error("ctrl_hum or config were not written again")
				}
			})
		})
	}
}

func TestBME280BrownOutInTheMiddle(t *testing.T) {
	// The supply breaks down before the n-th transfer of a read, for every n: no
	// such read may return a value.
	for n := 1; n <= 24; n++ {
		onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
			b.open(t)
			b.chip.Set(30, 1000, 50)
			first := b.bus.Transfers()
			b.bus.Fault(func(i int, _ uint16) error {
				if i == first+n {
					b.chip.BrownOut()
				}
				return nil
			})
			list, err := b.d.Read(t.Context())
			if b.bus.Transfers() < first+n {
				return // the read was over before
			}
			if got := sensors.ReasonOf(err); got != sensors.Brownout {
				t.Errorf("transfer %d: read %v, %v; want reason brownout", n, values(list), err)
			}
		})
	}
}

func TestBME280HungBus(t *testing.T) {
	onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
		b.open(t)
		release := make(chan struct{})
		b.bus.Fault(func(int, uint16) error { <-release; return syscall.EIO })
		start := time.Now()
		if got := b.reason(t); got != sensors.Hung {
			t.Errorf("reason %q, want hung", got)
		}
		if waited := time.Since(start); waited > 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		n := b.bus.Transfers()
		if got := b.reason(t); got != sensors.Hung || b.bus.Transfers() != n {
			t.Errorf("reason %q after %d transfers, want hung and no second transfer", got, b.bus.Transfers()-n)
		}
		b.bus.Fault(nil)
		close(release)
		synctest.Wait()
		b.read(t)
	})
}

func TestBME280StopsWithItsContext(t *testing.T) {
	onBench(t, "bme280", 0x60, nil, nil, func(t *testing.T, b *bench) {
		b.open(t)
		b.chip.Stall()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := b.d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Millisecond {
			t.Errorf("Read = %v after %v", err, time.Since(start))
		}
	})
}

func TestBME280Options(t *testing.T) {
	for _, tc := range []struct {
		path string
		set  func(*bmeOptions)
	}{
		{"address", func(o *bmeOptions) { o.Address = 0x75 }},
		{"mode", func(o *bmeOptions) { o.Mode = "sleep" }},
		{"oversampling.temperature", func(o *bmeOptions) { o.Oversampling.Temperature = 0 }},
		{"oversampling.pressure", func(o *bmeOptions) { o.Oversampling.Pressure = 3 }},
		{"filter", func(o *bmeOptions) { o.Filter = 1 }},
	} {
		_, err := build(t, "bme280", func(o any) { tc.set(o.(*bmeOptions)) }, nil)
		if err == nil || !strings.HasPrefix(err.Error(), tc.path+": ") {
			t.Errorf("%s: New = %v", tc.path, err)
		}
	}
	if _, err := build(t, "bmp280", nil, map[string]any{"humidity": &bmeEntity{}}); err == nil {
		t.Error("entity humidity of a bmp280 is accepted")
	}
}
