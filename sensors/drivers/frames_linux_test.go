package drivers

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// framer is a frames driver on a pseudo terminal with its device at the far end.
func newFramer(t *testing.T, set func(*framesOptions)) *talker {
	t.Helper()
	return newTalkerOf(t, "frames", func(o any, path string) {
		opts := o.(*framesOptions)
		opts.Port.Path = path
		set(opts)
	})
}

func (k *talker) sendHex(t *testing.T, s string) {
	t.Helper()
	b, err := unhexed(s)
	if err != nil {
		t.Fatal(err)
	}
	k.Send(string(b))
}

// motor is the microcontroller of the examples.
func motor(o *framesOptions) {
	o.Framing, o.CRC = "cobs", "crc16_ccitt_false"
	o.Struct = []frameField{
		{Name: "seq", Type: "u8", Role: "sequence"},
		{Name: "rpm", Type: "u16"},
		{Name: "winding", Type: "i16", Scale: 0.1, Unit: "°C"},
		{Name: "faults", Type: "u8", Bits: map[string]string{"0": "overcurrent", "7": "estop"}},
	}
}

func motorFrame(t *testing.T, seq byte, rpm uint16, winding int16, faults byte) string {
	t.Helper()
	c, _ := serial.CheckNamed("crc16_ccitt_false")
	f := serial.Framing{Kind: "cobs", Max: 100, Check: c}
	b, err := f.Append(nil, []byte{seq, byte(rpm), byte(rpm >> 8), byte(winding), byte(uint16(winding) >> 8), faults})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFramesStruct(t *testing.T) {
	k := newFramer(t, motor)
	want := func(seq, rpm int64, winding float64, faults int64, more map[string]any) map[string]any {
		m := map[string]any{"seq": seq, "rpm": rpm, "winding": winding, "faults": faults, "overcurrent": faults&1 == 1, "estop": faults>>7 == 1}
		maps.Copy(m, more)
		return m
	}
	k.Send(motorFrame(t, 254, 3000, -55, 0x81))
	k.expect(t, want(254, 3000, -5.5, 0x81, nil))
	// Over the end of the number, then a repetition, then three missing frames,
	// one that is damaged, and a restart.
	k.Send(motorFrame(t, 255, 1, 0, 0) + motorFrame(t, 0, 2, 0, 0) + motorFrame(t, 0, 2, 0, 0) + motorFrame(t, 4, 3, 0, 1))
	k.expect(t, want(255, 1, 0, 0, nil))
	k.expect(t, want(0, 2, 0, 0, nil))
	k.expect(t, want(4, 3, 0, 1, map[string]any{"lost_frames": int64(3)}))
	damaged := strings.Replace(motorFrame(t, 5, 3, 0, 1), "\x05", "\x06", 1)
	k.Send(damaged + motorFrame(t, 6, 3, 0, 0) + motorFrame(t, 0, 9, 0, 0))
	k.expect(t, want(6, 3, 0, 0, map[string]any{"lost_frames": int64(4), "rejected_frames": int64(1)}))
	k.expect(t, want(0, 9, 0, 0, nil))
}

func TestFramesSilence(t *testing.T) {
	k := newFramer(t, motor)
	p := k.d.(sensors.Pusher)
	if got := sensors.ReasonOf(p.OnSilence()); got != sensors.NoData {
		t.Errorf("a quiet device: %q", got)
	}
	k.Send("\x55\x55\x00\x55\x00")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if list, err := k.d.Read(ctx); err != context.DeadlineExceeded || list != nil {
		t.Errorf("Read = %v, %v", list, err)
	}
	if got := sensors.ReasonOf(p.OnSilence()); got != sensors.CRC {
		t.Errorf("a device that sends garbage: %q", got)
	}
}

// The frames are those of the manuals.
func TestFramesPresets(t *testing.T) {
	t.Run("sds011", func(t *testing.T) {
		k := newFramer(t, func(o *framesOptions) { o.Preset = "sds011" })
		k.sendHex(t, "aa c0 d4 04 3a 0a a1 60 1d ab")
		k.expect(t, map[string]any{"pm2_5": 123.60000000000001, "pm10": 261.8})
		k.sendHex(t, "aa c0 ff ff 3a 0a a1 60 43 ab")
		k.expect(t, map[string]any{"pm2_5": sensors.OutOfRange, "pm10": 261.8})
		k.do(t, "power", "OFF")
		k.expectHex(t, "aa b4 06 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 05 ab")
		k.do(t, "power", "ON")
		k.expectHex(t, "aa b4 06 01 01 00 00 00 00 00 00 00 00 00 00 ff ff 06 ab")
	})
	t.Run("pms5003", func(t *testing.T) {
		k := newFramer(t, func(o *framesOptions) { o.Preset = "pms5003" })
		k.sendHex(t, "42 4d 00 1c 0001 0002 0003 0004 0005 0006 0007 0008 0009 000a 000b 000c 97 00 0190")
		k.expect(t, map[string]any{"pm1_0_factory": int64(1), "pm2_5_factory": int64(2), "pm10_factory": int64(3), "pm1_0": int64(4), "pm2_5": int64(5), "pm10": int64(6),
			"particles_0_3um": int64(7), "particles_0_5um": int64(8), "particles_1_0um": int64(9), "particles_2_5um": int64(10), "particles_5um": int64(11), "particles_10um": int64(12), "error_code": int64(0)})
		k.do(t, "power", "OFF")
		k.expectHex(t, "42 4d e4 00 00 01 73")
	})
	t.Run("mhz19", func(t *testing.T) {
		k := newFramer(t, func(o *framesOptions) {
			o.Preset, o.Poll.Within = "mhz19", patience
		})
		if _, push := k.d.(sensors.Pusher); push {
			t.Error("a sensor that answers requests is read at intervals")
		}
		k.sendHex(t, "ff 86 01 00 47 00 00 00 32") // too late for an earlier request
		go func() {
			k.Expect("\xff\x01\x86\x00\x00\x00\x00\x00\x79")
			k.Send("\xff\x86\x02\x60\x47\x00\x00\x00\xd1")
		}()
		k.expect(t, map[string]any{"co2": int64(608)})
		k.do(t, "auto_calibration", "OFF")
		k.expectHex(t, "ff 01 79 00 00 00 00 00 86")
		k.do(t, "calibrate_zero", "")
		k.expectHex(t, "ff 01 87 00 00 00 00 00 78")
	})
	for _, p := range framePresets {
		name := p.name
		for i, entity := range p.command {
			for _, on := range []bool{true, false} {
				if entity == "" {
					continue
				}
				b, err := unhexed((&command{send: p.send[i]}).fill("", on))
				sum, body := byte(0), b
				switch {
				case err != nil:
				case name == "pms5003":
					body, sum = b[:5], b[6]
					for _, v := range body {
						sum -= v
					}
				case name == "sds011":
					for _, v := range b[2:17] {
						sum += v
					}
					sum -= b[17]
				default:
					for _, v := range b[1:] {
						sum += v
					}
				}
				if err != nil || sum != 0 {
					t.Errorf("%s %s % x: checksum off by %d, %v", name, entity, b, sum, err)
				}
			}
		}
	}
}

func TestFramesPoll(t *testing.T) {
	for _, tc := range []struct {
		answer string
		want   sensors.Reason
	}{
		{"", sensors.Timeout},
		{"\xff\x86\x02\x60\x47\x00\x00\x00\xd2", sensors.CRC},
		{"hello", sensors.Garbage},
		{"\xff\x99\x02\x60\x47\x00\x00\x00\xbe", sensors.Garbage}, // the answer to something else
	} {
		k := newFramer(t, func(o *framesOptions) { o.Preset, o.Poll.Within = "mhz19", 200*time.Millisecond })
		go func() {
			if _, err := io.ReadFull(k, make([]byte, 9)); err == nil && tc.answer != "" {
				k.Send(tc.answer)
			}
		}()
		if list, err := k.read(t); sensors.ReasonOf(err) != tc.want || list != nil {
			t.Errorf("answer % x: %v, %v; want %s", tc.answer, list, err, tc.want)
		}
	}
}

func TestFramesCommands(t *testing.T) {
	k := newFramer(t, func(o *framesOptions) {
		motor(o)
		o.Commands = map[string]lineCommand{
			"speed": {Platform: "number", Send: "10 {{payload}}", Type: "i16", Expect: lineExpect{Field: "rpm", Within: patience}},
			"lamp":  {Send: "20{{01|00}}"},
			"label": {Send: "30 {{payload}}"},
			"slow":  {Platform: "number", Send: "{{payload}}", Type: "u8", Expect: lineExpect{Field: "rpm", Within: 50 * time.Millisecond}},
		}
	})
	in := serial.NewFrames(struct {
		io.Reader
		noDeadline
	}{k.Device, noDeadline{}}, k.d.(framePusher).framing)
	next := func() string {
		b, err := in.NextBefore(time.Time{})
		if err != nil {
			t.Error(err)
		}
		return hex.EncodeToString(b)
	}
	k.Send(motorFrame(t, 1, 1, 0, 0)) // ends what was on its way before
	asked := make(chan string, 1)
	go func() {
		asked <- next()
		k.Send(motorFrame(t, 2, 0, 0, 0) + motorFrame(t, 3, 1500, 0, 0))
	}()
	list, err := k.command("speed", "1500")
	if v := values(list); err != nil || v["rpm"] != int64(1500) || <-asked != "10dc05" {
		t.Errorf("speed: %v, %v", v, err)
	}
	for _, tc := range []struct{ entity, payload, want string }{
		{"lamp", "ON", "2001"}, {"lamp", "OFF", "2000"}, {"label", "ab", "306162"},
	} {
		k.do(t, tc.entity, tc.payload)
		if got := next(); got != tc.want {
			t.Errorf("%s %s sends %s", tc.entity, tc.payload, got)
		}
	}
	if _, err := k.command("slow", "9"); err == nil || !strings.Contains(err.Error(), "did not confirm") {
		t.Errorf("without an answer: %v", err)
	}
	for _, bad := range [][2]string{{"speed", "40000"}, {"speed", "1.5"}, {"speed", "fast"}, {"slow", "-1"}, {"lamp", "TOGGLE"}, {"rpm", "1"}} {
		if _, err := k.command(bad[0], bad[1]); err == nil {
			t.Errorf("%v is carried out", bad)
		}
	}
}

// noDeadline is for readers that have a patience of their own.
type noDeadline struct{}

func (noDeadline) SetReadDeadline(time.Time) error { return nil }

func TestFramesOptions(t *testing.T) {
	one := int64(1)
	for _, tc := range []struct {
		want string
		set  func(*framesOptions)
	}{
		{"framing: is not cobs", func(o *framesOptions) { o.Framing = "" }},
		{"framing: is not cobs", func(o *framesOptions) { o.Framing = "bisync" }},
		{"preset: knows framing", func(o *framesOptions) { o.Preset = "sds011" }},
		{"preset: knows framing", func(o *framesOptions) { o.Preset = "sds012" }},
		{"struct: has 0 bytes", func(o *framesOptions) { o.Struct = nil }},
		{"struct[1].type: there is no such type", func(o *framesOptions) { o.Struct[1].Type = "u12" }},
		{"struct[0].role", func(o *framesOptions) { o.Struct[0].Type = "i8" }},
		{"struct[3].bits: there is no bit 8", func(o *framesOptions) { o.Struct[3].Bits = map[string]string{"8": "x"} }},
		{"struct[1].equals", func(o *framesOptions) { o.Struct[1].Type, o.Struct[1].Equals = "f32", &one }},
		{"struct: \"state\" is reserved", func(o *framesOptions) { o.Struct[1].Name = "state" }},
		{"struct[1].size: several", func(o *framesOptions) { o.Struct[1].Size = 2 }},
		{"struct: has 6 bytes", func(o *framesOptions) { o.MaxLength = 5 }},
		{"crc: there is no such checksum", func(o *framesOptions) { o.CRC = "md5" }},
		{"sync: is for framing", func(o *framesOptions) { o.Sync = "aa" }},
		{"sync: \"xy\"", func(o *framesOptions) { o.Framing, o.Sync = "length8", "xy" }},
		{"sync: without it", func(o *framesOptions) { o.Framing, o.CRC = "length8", "" }},
		{"max_length: ", func(o *framesOptions) { o.MaxLength = 1 << 30 }},
		{"poll.send: ", func(o *framesOptions) { o.Poll.Send = "x" }},
		{"commands.v: send: ", func(o *framesOptions) { o.Commands = map[string]lineCommand{"v": {Send: "hello"}} }},
		{"commands.v: type: ", func(o *framesOptions) {
			o.Commands = map[string]lineCommand{"v": {Platform: "number", Send: "{{payload}}"}}
		}},
	} {
		_, err := build(t, "frames", func(o any) {
			opts := o.(*framesOptions)
			opts.Port.Path = "/dev/ttyACM0"
			motor(opts)
			tc.set(opts)
		}, nil)
		if !strings.HasPrefix(fmt.Sprint(err), tc.want) {
			t.Errorf("New = %v, want %q", err, tc.want)
		}
	}
	if _, err := build(t, "frames", func(o any) { motor(o.(*framesOptions)) }, map[string]any{"volts": nil}); err == nil || !strings.Contains(err.Error(), "entities.volts") {
		t.Errorf("an entity that is not in the struct: %v", err)
	}
}

func TestFrameFieldValues(t *testing.T) {
	for _, tc := range []struct {
		f    frameField
		hex  string
		big  bool
		want any
	}{
		{frameField{Type: "i8"}, "ff", false, int64(-1)},
		{frameField{Type: "i24"}, "feffff", false, int64(-2)},
		{frameField{Type: "u24"}, "010000", true, int64(65536)},
		{frameField{Type: "i16", Scale: 0.5, Offset: 1}, "fffe", true, 0.0},
		{frameField{Type: "u32"}, "ffffffff", false, int64(math.MaxUint32)},
		{frameField{Type: "u64"}, "ffffffffffffffff", false, uint64(math.MaxUint64)},
		{frameField{Type: "i64"}, "ffffffffffffffff", false, int64(-1)},
		{frameField{Type: "f32"}, "41480000", true, 12.5},
		{frameField{Type: "f64"}, "0000000000002940", false, 12.5},
		{frameField{Type: "f32"}, "7fc00000", true, nil},
		{frameField{Type: "ascii", Size: 6}, "2b2031322e35", false, 12.5},
		{frameField{Type: "ascii", Size: 3}, "4f4b20", false, "OK"},
		{frameField{Type: "ascii", Size: 2, Scale: 2}, "4f4b", false, nil},
		{frameField{Type: "ascii", Size: 6}, "4f4b00ff4100", false, "OK"},
		{frameField{Type: "ascii", Size: 2}, "b043", false, nil},
	} {
		b, err := unhexed(tc.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tc.f.value(b, tc.big); got != tc.want || (err != nil) != (tc.want == nil) {
			t.Errorf("%s %s = %v, %v; want %v", tc.f.Type, tc.hex, got, err, tc.want)
		}
	}
}

func FuzzFrameLayout(f *testing.F) {
	types := []string{"u8", "i8", "u16", "i16", "u24", "i24", "u32", "i32", "u64", "i64", "f32", "f64", "ascii"}
	f.Add([]byte("\x00\x02\x0c"), []byte("payload"), false)
	f.Add([]byte("\x0a\x0b\x08"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), true)
	f.Fuzz(func(t *testing.T, layout, payload []byte, big bool) {
		l := frameLayout{bigEndian: big}
		for i, b := range layout {
			field := frameField{Name: fmt.Sprint("f", i), Type: types[int(b)%len(types)], Size: int(b) / 100, Scale: float64(b / 50)}
			if field.Type == "u8" {
				field.Role, field.Bits = "sequence", map[string]string{"3": fmt.Sprint("b", i)}
			}
			if key, _ := field.fault(); key == "" {
				l.fields = append(l.fields, field)
			}
		}
		for range 2 {
			list, err := l.readings(payload, time.Unix(0, 0))
			if err == nil && len(payload) != l.size() {
				t.Fatalf("%d bytes of a struct of %d", len(payload), l.size())
			}
			for _, r := range list {
				checkReading(t, hex.EncodeToString(payload), r)
			}
		}
	})
}
