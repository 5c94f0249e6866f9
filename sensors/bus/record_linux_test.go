package bus

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// set sets a driver's option, whose type is the driver's own.
func set(options any, field, value string) {
	v := reflect.ValueOf(options).Elem().FieldByName(field)
	if field == "Port" {
		v = v.FieldByName("Path")
	}
	v.SetString(value)
}

// session opens what the test's devices are on and says what they read.
func session(t *testing.T, b *Buses, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	said := ""
	wire, err := b.I2C("main")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []uint16{0x20, 0x21, 0x20} {
		r := make([]byte, 2)
		err := wire.Tx(address, []byte{7}, r)
		said += fmt.Sprintf("i2c % x %v\n", r, sensors.ReasonOf(err))
	}
	read := func(name string, options any, times int) {
		spec := drivers.Table()[name]
		d, err := spec.New(options, nil)
		if err == nil {
			err = d.Open(ctx, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for range times {
			list, err := d.Read(ctx)
			said += name
			for _, r := range list {
				said += fmt.Sprintf(" %s=%v", r.Entity, r.Value)
			}
			said += fmt.Sprintf(" %v\n", sensors.ReasonOf(err))
		}
	}
	lines := drivers.Table()["lines"].Options()
	frames := drivers.Table()["frames"].Options()
	set(lines, "Port", path+"/lines")
	set(frames, "Port", path+"/frames")
	set(frames, "Preset", "mhz19")
	read("lines", lines, 3)
	read("frames", frames, 3)
	return said
}

// What was recorded reads the same without the hardware.
func TestReplayOfARecording(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rec")
	dir := t.TempDir()
	b, err := New([]Spec{{ID: "main", Type: "i2c", Path: "/dev/i2c-1"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	sim := &chipsim.Bus{}
	sim.Plug(0x20, chipsim.Stuck(0x5a))
	b.openI2C = func(int) (i2c.BusCloser, error) { return sim, nil }
	if err := b.Record(file); err != nil {
		t.Fatal(err)
	}
	talker, sensor := serialtest.Pty(t), serialtest.Pty(t)
	for name, d := range map[string]*serialtest.Device{"lines": talker, "frames": sensor} {
		if err := os.Symlink(d.Path(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	talker.Send(`{"n":1}` + "\n" + "garbage\n" + `{"n":2}` + "\n" + `{"n":3}` + "\n")
	go func() {
		for _, co2 := range []string{"\x02\x60\x47\x00\x00\x00\xd1", "\x02\x61\x47\x00\x00\x00\xd0", "\x02\x62\x47\x00\x00\x00\xcf"} {
			if _, err := io.ReadFull(sensor, make([]byte, 9)); err == nil {
				sensor.Send("\xff\x86" + co2)
			}
		}
	}()
	want := session(t, b, dir)
	if !strings.Contains(want, "i2c 5a 5a") || !strings.Contains(want, "nack") || !strings.Contains(want, "n=3") || !strings.Contains(want, "co2=610") {
		t.Fatalf("recorded %s", want)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}

	again, err := New([]Spec{{ID: "main", Type: "i2c", Path: "/dev/i2c-1"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	talker.Unplug()
	sensor.Unplug()
	if err := again.Replay(file); err != nil {
		t.Fatal(err)
	}
	if got := session(t, again, dir); got != want {
		t.Errorf("replay\n%srecorded\n%s", got, want)
	}
	wire, _ := again.I2C("main")
	if err := wire.Tx(0x20, []byte{7}, make([]byte, 2)); sensors.ReasonOf(err) != sensors.NoData {
		t.Errorf("after the end: %v", err)
	}
	if err := again.Record(file); err == nil {
		t.Error("a recording is written over")
	}
}

func TestReplayRefuses(t *testing.T) {
	for _, text := range []string{"", "x", "x\n", recordingHead, recordingHead + "\n1\ta\tzz\t\t\n", recordingHead + "\n1\ta\n", recordingHead + "\n-1\ta\t\t\t\n"} {
		file := filepath.Join(t.TempDir(), "rec")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, _ := New(nil, "")
		if err := b.Replay(file); err == nil {
			t.Errorf("%q is played", text)
		}
	}
}

func FuzzRecording(f *testing.F) {
	f.Add("12\ti2c1 0x76\td0\t60\t")
	f.Add("12\t/dev/ttyUSB0\t\t0a\tnack")
	f.Fuzz(func(t *testing.T, line string) {
		where, tr, err := parseTransfer(line)
		if err == nil && (tr.at < 0 || strings.Contains(where, "\t")) {
			t.Errorf("%q: %v at %v", line, where, tr.at)
		}
	})
}

var _ serial.Port = (*tapePort)(nil)
