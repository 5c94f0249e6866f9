package chipsim

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestFormulasGiveTheReferenceVector(t *testing.T) {
	c := Typical()
	fine := c.fine(519888)
	if math.Abs(c.celsius(519888)-25.08) > 0.005 || int(fine) != 128422 {
		t.Errorf("%.3f °C, t_fine %.1f, want 25.08 and 128422 (BST-BMP280-DS001 3.12)", c.celsius(519888), fine)
	}
	if pa := c.pascal(415148, fine); math.Abs(pa-100653.27) > 0.05 {
		t.Errorf("%.2f Pa, want 100653.27 (BST-BMP280-DS001 3.12)", pa)
	}
}

func TestInvertFindsTheNearestCount(t *testing.T) {
	square := func(adc float64) float64 { return adc * adc }
	falling := func(adc float64) float64 { return 1000 - adc }
	for want, n := range map[float64]int{-5: 0, 0: 0, 16: 4, 19: 4, 21: 5, 1e9: 99} {
		if got := invert(100, true, want, square); got != n {
			t.Errorf("square = %g at %d, want %d", want, got, n)
		}
	}
	for want, n := range map[float64]int{2000: 0, 990: 10, 989.6: 10, 989.4: 11, 0: 99} {
		if got := invert(100, false, want, falling); got != n {
			t.Errorf("falling = %g at %d, want %d", want, got, n)
		}
	}
}

func TestBME280Registers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(0x60, Typical())
		b := &Bus{}
		b.Plug(0x77, c)
		tx := func(w ...byte) {
			t.Helper()
			if err := b.Tx(0x77, w, nil); err != nil {
				t.Fatal(err)
			}
		}
		check := func(when string, want map[byte]byte) {
			t.Helper()
			for reg, v := range want {
				if got := c.Register(reg); got != v {
					t.Errorf("%s: register %02x = %02x, want %02x", when, reg, got, v)
				}
			}
		}
		check("power-on", map[byte]byte{0xD0: 0x60, 0xF2: 0, 0xF3: 0, 0xF4: 0, 0xF5: 0, 0xF7: 0x80, 0xFA: 0x80, 0xFD: 0x80, 0x88: 0x70, 0x89: 0x6B})
		tx(0xF2, 1, 0xF5, 0x10, 0xF4, 0x25) // forced, once each
		check("measuring", map[byte]byte{0xF3: 0x08, 0xF4: 0x25, 0xF7: 0x80})
		time.Sleep(8*time.Millisecond - time.Nanosecond) // 1 + 2 + 2.5 + 2.5 ms (Appendix B 9.1)
		check("just before the end", map[byte]byte{0xF3: 0x08})
		time.Sleep(time.Nanosecond)
		check("the end", map[byte]byte{0xF3: 0, 0xF4: 0x24, 0xF2: 1, 0xF5: 0x10})
		if c.Register(0xF7) == 0x80 {
			t.Error("no pressure after a measurement")
		}
		tx(0xE0, 0x55) // not the reset word
		check("no reset", map[byte]byte{0xF2: 1})
		tx(0xE0, 0xB6)
		check("reset", map[byte]byte{0xF2: 0, 0xF3: 1, 0xF4: 0, 0xF5: 0, 0xF7: 0x80})
		time.Sleep(startUp)
		check("started", map[byte]byte{0xF3: 0})
		tx(0xF4, 0x27, 0xF2, 1) // ctrl_hum after ctrl_meas does not count
		time.Sleep(time.Second)
		check("humidity off", map[byte]byte{0xFD: 0x80, 0xFE: 0})
		if err := b.Tx(0x76, []byte{0xD0}, make([]byte, 1)); err == nil {
			t.Error("an absent chip acknowledged")
		}
	})
}
