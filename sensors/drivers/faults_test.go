package drivers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

// model is what a chip model must offer to join the suite.
type model interface {
	chipsim.Chip
	BrownOut()
	Slow(factor float64)
}

// suiteRow is one I2C or SPI driver of the suite.
type suiteRow struct {
	driver   string
	addr     uint16
	spi      int               // clock of an SPI chip in hertz
	set      func(options any) // nil: the defaults
	entities map[string]any
	chip     func() model
	// random puts the chip into a world and returns what must be read there.
	random func(c model, r *rand.Rand) map[string]expected
	// settle is how long the chip takes to see a new world, 0: the next
	// measurement shows it.
	settle time.Duration
	// other is a chip of another kind for the address clash.
	other func() chipsim.Chip
	// want names the faults whose outcome is not the rule's; "" is a reading
	// that is right.
	want map[string]sensors.Reason
	// blind names the faults that nobody could see in this chip, and why.
	blind map[string]string
}

// expected is a value and its data-sheet resolution.
type expected struct{ value, within float64 }

// suiteRows is filled by the init functions of the drivers' tests.
var suiteRows []suiteRow

// suiteBench is one row's driver, open, with its chip on a simulated bus.
type suiteBench struct {
	row  suiteRow
	bus  *chipsim.Bus
	chip model
	d    sensors.Driver
	rand *rand.Rand
	free func() // lets hung transfers go
}

// onSuite runs f in a bubble with the driver of a row.
func onSuite(t *testing.T, row suiteRow, f func(t *testing.T, b *suiteBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &suiteBench{row: row, bus: &chipsim.Bus{}, chip: row.chip(), rand: rand.New(rand.NewPCG(1, uint64(row.addr))), free: func() {}}
		b.bus.Plug(row.addr, b.chip)
		g := bus.NewGuard("i2c1", b.bus, 2*time.Second)
		defer g.Close()
		spi := bus.NewSPI("spi0", chipsim.Select{Bus: b.bus, At: row.addr, Fastest: row.spi}, 10_000_000, 2*time.Second)
		defer spi.Close()
		b.d = mustBuild(t, row.driver, row.set, row.entities)
		if err := b.d.Open(t.Context(), &fakeHardware{i2c: map[string]i2c.Bus{"": g}, spi: spi}); err != nil {
			t.Fatal(err)
		}
		defer func() { b.free(); synctest.Wait() }()
		f(t, b)
	})
}

// read is one reading: the reason of its failure, or how it differs from want.
func (b *suiteBench) read(t *testing.T, want map[string]expected) (sensors.Reason, error) {
	t.Helper()
	list, err := b.d.Read(t.Context())
	for _, r := range list {
		if err == nil && r.Err != nil {
			err = r.Err
		}
	}
	if err != nil {
		return sensors.ReasonOf(err), err
	}
	got := values(list)
	for entity, e := range want {
		if v, ok := got[entity].(float64); !ok || math.Abs(v-e.value) > e.within {
			return "", fmt.Errorf("%s = %v, want %v within %v", entity, got[entity], e.value, e.within)
		}
	}
	return "", nil
}

// world gives the chip a new random world.
func (b *suiteBench) world() map[string]expected {
	want := b.row.random(b.chip, b.rand)
	time.Sleep(b.row.settle)
	return want
}

// TestChipsReturnWhatIsThere takes 500 random points of each chip, and 2,000 in
// "make chips".
func TestChipsReturnWhatIsThere(t *testing.T) {
	points := 500
	if n, err := strconv.Atoi(os.Getenv("CHIP_POINTS")); err == nil {
		points = n
	}
	for _, row := range suiteRows {
		t.Run(row.driver, func(t *testing.T) {
			onSuite(t, row, func(t *testing.T, b *suiteBench) {
				for range points {
					if _, err := b.read(t, b.world()); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// suiteFaults are the nine faults of a wire and a chip, and the reason that
// each has in health.
var suiteFaults = []struct {
	name string
	want sensors.Reason
	hurt func(b *suiteBench)
}{
	{"nack", sensors.Nack, func(b *suiteBench) { b.bus.Plug(b.row.addr, nil) }},
	{"timed out", sensors.Timeout, func(b *suiteBench) { b.bus.Fault(func(int, uint16) error { return syscall.ETIMEDOUT }) }},
	{"all ones", sensors.OutOfRange, func(b *suiteBench) { b.bus.Wire(chipsim.Stuck(0xFF)) }},
	{"all zeros", sensors.OutOfRange, func(b *suiteBench) { b.bus.Wire(chipsim.Stuck(0x00)) }},
	{"flipped bit", sensors.CRC, func(b *suiteBench) {
		b.bus.Noise(func(n int, r []byte) { n %= 8 * len(r); r[n/8] ^= 1 << (n % 8) })
	}},
	{"brown-out", sensors.Brownout, func(b *suiteBench) { b.chip.BrownOut() }},
	{"slow oscillator", "", func(b *suiteBench) { b.chip.Slow(1.1) }},
	{"hang", sensors.Hung, func(b *suiteBench) {
		stop := make(chan struct{})
		b.free = func() { close(stop) }
		b.bus.Fault(func(int, uint16) error { <-stop; return syscall.EIO })
	}},
	{"address clash", sensors.WrongChip, func(b *suiteBench) { b.bus.Plug(b.row.addr, chipsim.Clash{b.chip, b.row.other()}) }},
}

// A fault lasts for fail_after intervals. Every reading meanwhile fails for
// the one reason, but for a brown-out, which is over after one; nothing wrong
// is read, and when the fault is over the chip is read again.
func TestEachFaultHasOneReason(t *testing.T) {
	for _, row := range suiteRows {
		for _, f := range suiteFaults {
			t.Run(row.driver+"/"+f.name, func(t *testing.T) {
				if why := row.blind[f.name]; why != "" {
					t.Skip(why)
				}
				onSuite(t, row, func(t *testing.T, b *suiteBench) {
					want, special := row.want[f.name]
					if !special {
						want = f.want
					}
					here := b.world()
					if _, err := b.read(t, here); err != nil {
						t.Fatal(err)
					}
					time.Sleep(30 * time.Second)
					f.hurt(b)
					for range 3 {
						got, err := b.read(t, here)
						if got != want || (got == "") != (err == nil) {
							t.Errorf("reason %q (%v), want %q", got, err, want)
						}
						if f.name == "brown-out" {
							want = ""
						}
						time.Sleep(30 * time.Second)
					}
				})
			})
		}
	}
}

// The adapter fails in the middle of a reading, at each of its transfers in turn:
// one on I2C is made again, and the reading is right. Where it fails twice, and on
// SPI, the reading fails for that reason, and the next one is right.
func TestAnErrorInTheMiddle(t *testing.T) {
	for _, row := range suiteRows {
		for _, fails := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", row.driver, fails), func(t *testing.T) {
				want := sensors.IO
				if fails == 1 && row.spi == 0 {
					want = ""
				}
				onSuite(t, row, func(t *testing.T, b *suiteBench) {
					for nth, struck := 0, true; struck; nth++ {
						here, at := b.world(), 0
						struck = false
						b.bus.Fault(func(int, uint16) error {
							if at++; at-1 >= nth && at-1 < nth+fails {
								struck = true
								return syscall.EIO
							}
							return nil
						})
						reason, err := b.read(t, here)
						if struck && reason != want || reason == "" && err != nil {
							t.Fatalf("transfer %d: reason %q: %v", nth, reason, err)
						}
						b.bus.Fault(nil)
						time.Sleep(30 * time.Second)
						if _, err := b.read(t, here); err != nil {
							t.Fatalf("after transfer %d: %v", nth, err)
						}
						time.Sleep(30 * time.Second)
					}
				})
			})
		}
	}
}

// mumbler does what it is told and is heard badly at one transfer.
type mumbler struct {
	model
	at, nth int
}

func (m *mumbler) Tx(now time.Time, w, r []byte) error {
	if err := m.model.Tx(now, w, r); err != nil {
		return err
	}
	if m.at++; m.at-1 == m.nth {
		clear(r)
		return syscall.EIO
	}
	return nil
}

// The chip did what it was told, or handed out what it had, but the adapter
// failed: it is told again, and that makes no wrong value.
func TestATransferIsRepeated(t *testing.T) {
	for _, row := range suiteRows {
		if row.spi != 0 {
			continue
		}
		t.Run(row.driver, func(t *testing.T) {
			onSuite(t, row, func(t *testing.T, b *suiteBench) {
				failed, nth := 0, 0
				for struck := true; struck; nth++ {
					here := b.world()
					m := &mumbler{model: b.chip, nth: nth}
					b.bus.Plug(row.addr, m)
					reason, err := b.read(t, here)
					if struck = m.at > nth; reason == "" && err != nil {
						t.Fatalf("transfer %d: %v", nth, err)
					}
					if reason != "" {
						failed++
					}
					if n := b.d.(sensors.Retrier).Retried(); struck && n == 0 {
						t.Errorf("transfer %d was not counted", nth)
					}
					b.bus.Plug(row.addr, b.chip)
					time.Sleep(30 * time.Second)
					if _, err := b.read(t, here); err != nil {
						t.Fatalf("after transfer %d: %v", nth, err)
					}
					time.Sleep(30 * time.Second)
				}
				if failed > 3 { // what a chip hands out only once
					t.Errorf("%d of %d readings failed for one transfer", failed, nth)
				}
			})
		})
	}
}

// One bit of one byte of one transfer is flipped, for every bit of a reading:
// it fails or is right.
func TestAFlippedBitIsNeverAValue(t *testing.T) {
	for _, row := range suiteRows {
		t.Run(row.driver, func(t *testing.T) {
			onSuite(t, row, func(t *testing.T, b *suiteBench) {
				here := b.world()
				for bit, struck := 0, true; struck; bit++ {
					at := 0
					struck = false
					b.bus.Noise(func(_ int, r []byte) {
						if n := bit - at; n >= 0 && n < 8*len(r) {
							r[n/8] ^= 1 << (n % 8)
							struck = true
						}
						at += 8 * len(r)
					})
					if reason, err := b.read(t, here); err != nil && !slices.Contains([]sensors.Reason{
						sensors.CRC, sensors.OutOfRange, sensors.Brownout, sensors.WrongChip, sensors.Timeout,
					}, reason) {
						t.Fatalf("bit %d: reason %q: %v", bit, reason, err)
					}
					b.bus.Noise(nil)
					time.Sleep(30 * time.Second)
					if _, err := b.read(t, here); err != nil {
						t.Fatalf("after bit %d: %v", bit, err)
					}
				}
			})
		})
	}
}

// BenchmarkRead is what one reading costs: its time is the chip's, cpu-ns is
// that of the process, models included.
func BenchmarkRead(b *testing.B) {
	for _, row := range suiteRows {
		b.Run(row.driver, func(b *testing.B) {
			wires, chip := &chipsim.Bus{}, row.chip()
			wires.Plug(row.addr, chip)
			spec := Table()[row.driver]
			o := spec.Options()
			if row.set != nil {
				row.set(o)
			}
			d, err := spec.New(o, row.entities)
			if err != nil {
				b.Fatal(err)
			}
			spi := bus.NewSPI("spi0", chipsim.Select{Bus: wires, At: row.addr}, 10_000_000, 2*time.Second)
			defer spi.Close()
			if err := d.Open(b.Context(), &fakeHardware{i2c: map[string]i2c.Bus{"": wires}, spi: spi}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				if _, err := d.Read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Skip(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
