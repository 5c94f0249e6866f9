package drivers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

const boiler = "28-3c01e076877d"

// w1Tree is a machine with thermometers.
func w1Tree(t *testing.T, slaves map[string]string) *tree {
	h := newTree(t, map[string]string{w1Devices + "w1_bus_master1/therm_bulk_read": "0"})
	for address, text := range slaves {
		h.write(w1Devices+address+"/w1_slave", text)
		h.write(w1Devices+address+"/resolution", "12")
	}
	return h
}

func at(address string) func(any) { return func(o any) { o.(*w1Options).Address = address } }

// The values of the DS18B20 data sheet, Table 1.
func TestW1Vectors(t *testing.T) {
	for raw, want := range map[uint16]float64{
		0x07d0: 125, 0x0191: 25.0625, 0x00a2: 10.125, 0x0008: 0.5, 0x0000: 0, 0xfff8: -0.5, 0xff5e: -10.125, 0xfe6f: -25.0625, 0xfc90: -55,
	} {
		h := w1Tree(t, map[string]string{boiler: slave(raw, 12)})
		wantShown(t, shows(t, open(t, mustBuild(t, "w1_therm", at(boiler), nil), h)), fmt.Sprintf("temperature=%v °C", want))
	}
	// Maxim application note 27.
	if crc := w1CRC([]byte{0x02, 0x1c, 0xb8, 0x01, 0, 0, 0}); crc != 0xa2 {
		t.Errorf("CRC %#x", crc)
	}
	// At nine bits the last three mean nothing.
	if _, v, err := parseW1(slave(0x0197, 9), "28"); err != nil || v != 25 {
		t.Errorf("nine bits: %v, %v", v, err)
	}
	// The DS18S20 counts halves; the kernel's number is the finer one.
	if _, v, err := parseW1(strings.Replace(slave(0x0032, 12), "t=3125", "t=24875", 1), "10"); err != nil || v != 24.875 {
		t.Errorf("DS18S20: %v, %v", v, err)
	}
}

// The thermocouples of the MAX31850 data sheet, Table 3, whose first sixteen bits
// are these, and its faults, Table 2.
func TestW1Thermocouples(t *testing.T) {
	const oven = "3b-0000000000e1"
	read := func(raw uint16, cold byte) (float64, error) {
		pad := []byte{byte(raw), byte(raw >> 8), cold, 0x19, 0xf0, 0xff, 0xff, 0xff}
		text := fmt.Sprintf("% x", append(pad, w1CRC(pad)))
		_, v, err := parseW1(text+" : crc=00 YES\n"+text+" t=0", "3b")
		return v, err
	}
	for raw, want := range map[uint16]float64{0x6400: 1600, 0x3e80: 1000, 0x064c: 100.75, 0x0190: 25, 0: 0, 0xfffc: -0.25, 0xfff0: -1, 0xf060: -250} {
		if v, err := read(raw, 0); v != want || err != nil {
			t.Errorf("%#x: %v, %v; want %v", raw, v, err, want)
		}
	}
	for _, tc := range []struct {
		raw  uint16
		cold byte
		want sensors.Reason
	}{{0x0191, 1, sensors.WireBreak}, {0x0191, 2, sensors.ShortCircuit}, {0x0191, 4, sensors.ShortCircuit}, {0x7ff0, 0, sensors.OutOfRange}, {0xe000, 0, sensors.OutOfRange}} {
		if v, err := read(tc.raw, tc.cold); sensors.ReasonOf(err) != tc.want {
			t.Errorf("%#x, %d: %v, %v; want %s", tc.raw, tc.cold, v, err, tc.want)
		}
	}
	// 85 °C is a value like others.
	pad := []byte{0x50, 0x05, 0x00, 0x19, 0xf0, 0xff, 0xff, 0xff}
	text := fmt.Sprintf("% x", append(pad, w1CRC(pad)))
	h := w1Tree(t, map[string]string{oven: text + " : crc=00 YES\n" + text + " t=85000"})
	wantShown(t, shows(t, open(t, mustBuild(t, "w1_therm", at(oven), nil), h)), "temperature=85 °C")
}

func TestW1Faults(t *testing.T) {
	good := slave(0x0191, 12)
	for name, tc := range map[string]struct {
		text string
		want sensors.Reason
	}{
		"the kernel's NO":               {strings.Replace(good, "YES", "NO", 1), sensors.CRC},
		"a checksum that is wrong":      {strings.Replace(good, "91 01", "90 01", 2), sensors.CRC},
		"nothing answers":               {"ff ff ff ff ff ff ff ff ff : crc=c9 NO\nff ff ff ff ff ff ff ff ff t=-62", sensors.Nack},
		"the data line is low":          {"00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0", sensors.ShortCircuit},
		"a sensor that lost its supply": {slave(0x0550, 12), sensors.Brownout},
		"beyond its range":              {slave(0x07ff, 12), sensors.OutOfRange},
		"no text":                       {"", sensors.Parse},
		"half a line":                   {good[:20], sensors.Parse},
	} {
		h := w1Tree(t, map[string]string{boiler: tc.text})
		d := open(t, mustBuild(t, "w1_therm", at(boiler), nil), h)
		if list, err := d.Read(t.Context()); sensors.ReasonOf(err) != tc.want || strings.Contains(err.Error(), "NaN") {
			t.Errorf("%s: %v, %v, want %s", name, list, err, tc.want)
		}
	}
	t.Run("85 °C is believed when it was nearly that before", func(t *testing.T) {
		h := w1Tree(t, map[string]string{boiler: slave(0x0500, 12)}) // 80 °C
		d := open(t, mustBuild(t, "w1_therm", at(boiler), nil), h)
		wantShown(t, shows(t, d), "temperature=80 °C")
		h.write(w1Devices+boiler+"/w1_slave", slave(0x0550, 12))
		wantShown(t, shows(t, d), "temperature=85 °C")
		h.write(w1Devices+boiler+"/w1_slave", slave(0x04f0, 12)) // 79 °C
		wantShown(t, shows(t, d), "temperature=79 °C")
		h.write(w1Devices+boiler+"/w1_slave", slave(0x0550, 12))
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Brownout {
			t.Errorf("six degrees in one interval: %v", err)
		}
	})
	t.Run("an error of the kernel", func(t *testing.T) {
		h := w1Tree(t, map[string]string{boiler: good})
		d := open(t, mustBuild(t, "w1_therm", at(boiler), nil), h)
		h.broken(w1Devices + boiler + "/w1_slave")
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.IO {
			t.Errorf("EIO: %v", err)
		}
	})
	t.Run("unplugged, and not found again", func(t *testing.T) {
		h := w1Tree(t, map[string]string{boiler: good})
		d := open(t, mustBuild(t, "w1_therm", at(boiler), nil), h)
		h.remove(w1Devices + boiler)
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v", err)
		}
		if err := d.Open(t.Context(), h); sensors.ReasonOf(err) != sensors.NotFound {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestW1Resolution(t *testing.T) {
	h := w1Tree(t, map[string]string{boiler: slave(0x0191, 12)})
	d := mustBuild(t, "w1_therm", func(o any) { at(boiler)(o); o.(*w1Options).Resolution = 10 }, nil)
	open(t, d, h)
	file := filepath.Join(h.root, w1Devices+boiler+"/resolution")
	if text, _ := os.ReadFile(file); strings.TrimSpace(string(text)) != "10" {
		t.Errorf("resolution is %q", text)
	}
	// It is volatile: a sensor with its old one lost its supply, and gets it anew.
	h.write(w1Devices+boiler+"/resolution", "12")
	if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Brownout {
		t.Errorf("Read: %v", err)
	}
	if text, _ := os.ReadFile(file); strings.TrimSpace(string(text)) != "10" {
		t.Errorf("resolution stays %q", text)
	}
	h.write(w1Devices+boiler+"/w1_slave", slave(0x0191, 10))
	wantShown(t, shows(t, d), "temperature=25 °C")
}

func TestW1Several(t *testing.T) {
	const other = "28-000000000001"
	h := w1Tree(t, map[string]string{boiler: slave(0x0191, 12), other: slave(0x00a2, 12), "10-000000000002": slave(0, 12)})
	h.write(w1Devices+"26-000000000003/w1_slave", "no thermometer")
	t.Run("all that are there convert at the same time", func(t *testing.T) {
		d := open(t, mustBuild(t, "w1_therm", nil, nil), h)
		wantShown(t, shows(t, d), "10_000000000002=0 °C", "28_000000000001=10.125 °C", "28_3c01e076877d=25.0625 °C")
		if text, _ := os.ReadFile(filepath.Join(h.root, w1Devices+"w1_bus_master1/therm_bulk_read")); !strings.HasPrefix(string(text), "trigger") {
			t.Errorf("bulk read says %q", text)
		}
	})
	t.Run("one that comes while the others are read", func(t *testing.T) {
		h := w1Tree(t, map[string]string{boiler: slave(0x0191, 12)})
		d := open(t, mustBuild(t, "w1_therm", nil, nil), h)
		wantShown(t, shows(t, d), "28_3c01e076877d=25.0625 °C")
		h.write(w1Devices+"28-000000000002/w1_slave", slave(0x00a2, 12))
		wantShown(t, shows(t, d), "28_3c01e076877d=25.0625 °C", "28_000000000002=10.125 °C")
	})
	t.Run("entities with addresses, one of which is missing at the start and comes", func(t *testing.T) {
		h := w1Tree(t, map[string]string{boiler: slave(0x0191, 12)})
		d := open(t, mustBuild(t, "w1_therm", nil, map[string]any{"flow": &w1Entity{Address: boiler}, "back": &w1Entity{Address: "28-000000000002"}}), h)
		wantShown(t, shows(t, d), "back=!unplugged °C", "flow=25.0625 °C")
		h.write(w1Devices+"28-000000000002/w1_slave", slave(0x00a2, 12))
		wantShown(t, shows(t, d), "back=10.125 °C", "flow=25.0625 °C")
		h.remove(w1Devices + boiler)
		h.remove(w1Devices + "28-000000000002")
		if err := d.Open(t.Context(), h); sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), boiler) {
			t.Errorf("Open without any: %v", err)
		}
	})
	t.Run("entities with addresses, one of which fails", func(t *testing.T) {
		d := open(t, mustBuild(t, "w1_therm", nil, map[string]any{"flow": &w1Entity{boiler}, "return": &w1Entity{other}}), h)
		h.write(w1Devices+other+"/w1_slave", strings.Replace(slave(0x00a2, 12), "YES", "NO", 1))
		wantShown(t, shows(t, d), "flow=25.0625 °C", "return=!crc °C")
	})
}

func TestW1Options(t *testing.T) {
	for _, set := range []func(o *w1Options){
		func(o *w1Options) { o.Address = "28-xyz" }, func(o *w1Options) { o.Address = "26-3c01e076877d" }, func(o *w1Options) { o.Address = "2" },
		func(o *w1Options) { o.Resolution = 13 },
	} {
		if _, err := build(t, "w1_therm", func(o any) { set(o.(*w1Options)) }, nil); err == nil {
			t.Error("wrong options are taken")
		}
	}
	for _, entities := range []map[string]any{
		{"a": &w1Entity{"28-xyz"}}, {"a": &w1Entity{boiler}, "b": &w1Entity{}},
	} {
		if _, err := build(t, "w1_therm", nil, entities); err == nil {
			t.Errorf("%v are taken", entities)
		}
	}
	if _, err := build(t, "w1_therm", at(boiler), map[string]any{"a": &w1Entity{boiler}}); err == nil {
		t.Error("two addresses are taken")
	}
	if d := mustBuild(t, "w1_therm", at(boiler), map[string]any{"flow": &w1Entity{}}); d.(*w1Therm).wanted["flow"] != boiler {
		t.Error("the entity has no name")
	}
}

// A read of the kernel that never returns makes the device hung and no other,
// and ends when the kernel is back.
func TestW1Hung(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for real deadlines")
	}
	h := w1Tree(t, map[string]string{boiler: slave(0x0191, 12)})
	file := filepath.Join(h.root, w1Devices+boiler+"/w1_slave")
	os.Remove(file)
	if err := unix.Mkfifo(file, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := sensors.New(sensors.Options{
		Base: "b", Buses: h, Attach: func(string, *mqtt.Will, func()) (sensors.Session, error) { return mutedSession{}, nil },
		Devices: []sensors.Device{{Name: "boiler", Driver: mustBuild(t, "w1_therm", at(boiler), nil), Interval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond}},
	})
	if err != nil {
		t.Fatal(err)
	}
	reason := func(want func(s sensors.Status) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if want(m.Status()[0]) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the device is %+v", m.Status()[0])
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	reason(func(s sensors.Status) bool { return s.Health.Reason == sensors.Hung })
	// Whoever writes lets the read come back.
	if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		f.Close()
	}
	h.remove(w1Devices + boiler + "/w1_slave")
	h.write(w1Devices+boiler+"/w1_slave", slave(0x0191, 12))
	reason(func(s sensors.Status) bool { return len(s.Values) == 1 && s.Values[0].Value == 25.0625 })
}

func FuzzW1Slave(f *testing.F) {
	f.Add(slave(0x0191, 12))
	f.Add("00 : crc=00 YES\nt=0")
	f.Fuzz(func(t *testing.T, text string) {
		if _, v, err := parseW1(text, "10"); err == nil && (v < -55 || v > 125) {
			t.Errorf("%q is %v", text, v)
		}
	})
}
