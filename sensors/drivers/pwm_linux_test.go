package drivers

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

const pwmDir = "/sys/class/pwm/pwmchip0/pwm1/"

// pwmTree is a machine with one controller of two channels, the second of
// which is exported as the kernel leaves it.
func pwmTree(t *testing.T, change map[string]string) *tree {
	files := map[string]string{
		"/sys/devices/platform/fe20c000.pwm/modalias": "of:Npwm", "/sys/class/pwm/pwmchip0/npwm": "2", "/sys/class/pwm/pwmchip0/export": "",
		pwmDir + "enable": "0", pwmDir + "period": "0", pwmDir + "duty_cycle": "0", pwmDir + "polarity": "normal",
	}
	for name, text := range change {
		files[name] = text
	}
	h := newTree(t, files)
	if err := os.Symlink(h.root+"/sys/devices/platform/fe20c000.pwm", h.root+"/sys/class/pwm/pwmchip0/device"); err != nil {
		t.Fatal(err)
	}
	return h
}

func fan(t *testing.T, set func(o *pwmOptions)) sensors.Driver {
	t.Helper()
	return mustBuild(t, "pwm", func(all any) {
		o := all.(*pwmOptions)
		o.Channel, o.Period = 1, 40*time.Microsecond
		if set != nil {
			set(o)
		}
	}, nil)
}

// writes tells, in order, which files of a directory are written while f runs.
func writes(t *testing.T, dir string, f func()) []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_WRITE); err != nil {
		t.Fatal(err)
	}
	f()
	buf := make([]byte, 8192)
	n, err := unix.Read(fd, buf)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for buf = buf[:n]; len(buf) > 0; {
		size := 16 + int(buf[12]) + int(buf[13])<<8 // struct inotify_event: its last field is the length of the name
		name, _, _ := bytes.Cut(buf[16:size], []byte{0})
		names, buf = append(names, string(name)), buf[size:]
	}
	return names
}

func TestPWM(t *testing.T) {
	file := func(h *tree, name string) string {
		text, err := os.ReadFile(filepath.Join(h.root, pwmDir, name))
		if err != nil {
			t.Error(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		return first
	}
	do := func(t *testing.T, d sensors.Driver, payload string) float64 {
		t.Helper()
		list, err := d.(sensors.Commander).Do(t.Context(), "output", []byte(payload))
		if err != nil {
			t.Fatal(payload, err)
		}
		return list[0].Value.(float64)
	}
	t.Run("the output is enabled when all else is set", func(t *testing.T) {
		h := pwmTree(t, nil)
		d := fan(t, func(o *pwmOptions) { o.Chip, o.Polarity, o.Initial = "fe20c000.pwm", "inversed", "30" })
		order := writes(t, filepath.Join(h.root, pwmDir), func() { open(t, d, h) })
		if want := []string{"period", "polarity", "duty_cycle", "enable"}; !slices.Equal(order, want) {
			t.Errorf("written: %v, want %v", order, want)
		}
		if file(h, "period") != "40000" || file(h, "duty_cycle") != "12000" || file(h, "enable") != "1" || file(h, "polarity") != "inversed" {
			t.Errorf("period %s, duty %s, enable %s, polarity %s", file(h, "period"), file(h, "duty_cycle"), file(h, "enable"), file(h, "polarity"))
		}
		wantShown(t, shows(t, d), "output=30 %")
	})
	t.Run("one that runs is not stopped for nothing, and its duty cycle is made to fit", func(t *testing.T) {
		h := pwmTree(t, map[string]string{pwmDir + "enable": "1", pwmDir + "period": "100000", pwmDir + "duty_cycle": "90000"})
		order := writes(t, filepath.Join(h.root, pwmDir), func() { open(t, fan(t, func(o *pwmOptions) { o.Initial = "50" }), h) })
		if want := []string{"duty_cycle", "period", "duty_cycle", "enable"}; !slices.Equal(order, want) {
			t.Errorf("written: %v, want %v", order, want)
		}
	})
	t.Run("a polarity is set while the output is off", func(t *testing.T) {
		h := pwmTree(t, map[string]string{pwmDir + "enable": "1", pwmDir + "period": "40000", pwmDir + "duty_cycle": "9000"})
		order := writes(t, filepath.Join(h.root, pwmDir), func() { open(t, fan(t, func(o *pwmOptions) { o.Polarity = "inversed" }), h) })
		if want := []string{"enable", "polarity", "duty_cycle", "enable"}; !slices.Equal(order, want) {
			t.Errorf("written: %v, want %v", order, want)
		}
	})
	t.Run("initial keep leaves the percentage of one that runs", func(t *testing.T) {
		for period, want := range map[string][]string{"40000": {"duty_cycle", "enable"}, "90000": {"duty_cycle", "period", "duty_cycle", "enable"}, "10000": {"period", "duty_cycle", "enable"}} {
			n, _ := strconv.Atoi(period)
			h := pwmTree(t, map[string]string{pwmDir + "enable": "1", pwmDir + "period": period, pwmDir + "duty_cycle": strconv.Itoa(n * 9 / 10)})
			d := fan(t, func(o *pwmOptions) { o.Initial = "keep" })
			if order := writes(t, filepath.Join(h.root, pwmDir), func() { open(t, d, h) }); !slices.Equal(order, want) {
				t.Errorf("of a period of %s are written: %v, want %v", period, order, want)
			}
			if file(h, "period") != "40000" || file(h, "duty_cycle") != "36000" {
				t.Errorf("period %s, duty %s", file(h, "period"), file(h, "duty_cycle"))
			}
			wantShown(t, shows(t, d), "output=90 %")
		}
	})
	t.Run("a change of the configuration leaves the percentage", func(t *testing.T) {
		h := pwmTree(t, nil)
		d := open(t, fan(t, nil), h)
		do(t, d, "30")
		next := fan(t, func(o *pwmOptions) { o.Period, o.Initial = 80*time.Microsecond, "10" })
		if !next.(sensors.Heir).Inherit(d) {
			t.Fatal("another period stops the output")
		}
		open(t, next, h)
		if file(h, "period") != "80000" || file(h, "duty_cycle") != "24000" {
			t.Errorf("period %s, duty %s", file(h, "period"), file(h, "duty_cycle"))
		}
		if open(t, next, h); file(h, "duty_cycle") != "8000" {
			t.Errorf("opened anew the duty cycle is %s", file(h, "duty_cycle"))
		}
		if fan(t, func(o *pwmOptions) { o.Channel = 0 }).(sensors.Heir).Inherit(d) {
			t.Error("another channel is taken for the same")
		}
	})
	t.Run("commands", func(t *testing.T) {
		h := pwmTree(t, nil)
		d := open(t, fan(t, nil), h)
		for payload, want := range map[string]float64{"0": 0, "1": 1, " 12.5\n": 12.5, "100": 100, "ON": 100, "off": 0} {
			if got := do(t, d, payload); got != want {
				t.Errorf("%q gives %v, want %v", payload, got, want)
			}
		}
		do(t, d, "40")
		for _, payload := range []string{"", "101", "-1", "NaN", "TOGGLE", "half"} {
			if _, err := d.(sensors.Commander).Do(t.Context(), "output", []byte(payload)); err == nil {
				t.Errorf("%q is taken", payload)
			}
		}
		if _, err := d.(sensors.Commander).Do(t.Context(), "other", []byte("1")); err == nil {
			t.Error("another entity is taken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.(sensors.Commander).Do(ctx, "output", []byte("1")); err == nil {
			t.Error("a command that is late is carried out")
		}
		if file(h, "duty_cycle") != "16000" {
			t.Errorf("duty cycle %s", file(h, "duty_cycle"))
		}
	})
	t.Run("on_stop", func(t *testing.T) {
		for stop, want := range map[string]string{"0": "0", "25": "10000", "keep": "20000"} {
			h := pwmTree(t, nil)
			d := open(t, fan(t, func(o *pwmOptions) { o.OnStop = stop }), h)
			do(t, d, "50")
			if err := d.(sensors.Commander).Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if got := file(h, "duty_cycle"); strings.TrimSpace(got) != want {
				t.Errorf("on_stop %s leaves %s, want %s", stop, got, want)
			}
		}
	})
	t.Run("a channel is exported", func(t *testing.T) {
		h := pwmTree(t, nil)
		d := fan(t, func(o *pwmOptions) { o.Channel = 0 })
		if err := d.Open(t.Context(), h); sensors.ReasonOf(err) != sensors.Unplugged { // nobody made it
			t.Errorf("Open: %v", err)
		}
		if text, _ := os.ReadFile(filepath.Join(h.root, "/sys/class/pwm/pwmchip0/export")); !strings.HasPrefix(string(text), "0\n") {
			t.Errorf("exported %q", text)
		}
	})
}

func TestPWMFrequency(t *testing.T) {
	for text, want := range map[string]time.Duration{"25kHz": 40 * time.Microsecond, "50Hz": 20 * time.Millisecond, "0.5": 2 * time.Second, "33.3 kHz": 30030} {
		d := fan(t, func(o *pwmOptions) {
			o.Period = 0
			if err := o.Frequency.UnmarshalText([]byte(text)); err != nil {
				t.Error(err)
			}
		})
		if got := d.(*pwm).o.Period; got != want {
			t.Errorf("%s is a period of %v, want %v", text, got, want)
		}
	}
	for _, bad := range []string{"", "k", "0", "-50Hz", "1e9", "NaN", "Inf", "25 mHz", "1/50s", "0.0001"} {
		if err := new(hertz).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a frequency", bad)
		}
	}
}

func TestPWMFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(o *pwmOptions)
		tree func(h *tree)
		want sensors.Reason
	}{
		"no such controller":   {func(o *pwmOptions) { o.Chip = "pwmchip7" }, nil, sensors.NotFound},
		"no such channel":      {func(o *pwmOptions) { o.Channel = 2 }, nil, sensors.NotFound},
		"which controller":     {nil, func(h *tree) { h.write("/sys/class/pwm/pwmchip1/npwm", "1") }, sensors.NotFound},
		"EIO":                  {nil, func(h *tree) { h.broken(pwmDir + "enable") }, sensors.IO},
		"no inversed polarity": {func(o *pwmOptions) { o.Polarity = "inversed" }, func(h *tree) { h.remove(pwmDir + "polarity") }, sensors.Unplugged},
	} {
		h := pwmTree(t, nil)
		if tc.tree != nil {
			tc.tree(h)
		}
		if err := fan(t, tc.set).Open(t.Context(), h); sensors.ReasonOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	h := pwmTree(t, nil)
	d := open(t, fan(t, nil), h)
	h.remove("/sys/class/pwm/pwmchip0/pwm1")
	if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
		t.Errorf("Read: %v", err)
	}
	h = pwmTree(t, nil)
	d = open(t, fan(t, nil), h)
	if err := os.Rename(h.root+"/sys/class/pwm/pwmchip0", h.root+"/sys/class/pwm/pwmchip7"); err != nil {
		t.Fatal(err)
	}
	h.write(pwmDir+"duty_cycle", "0") // another controller has its number
	if _, err := d.(sensors.Commander).Do(t.Context(), "output", []byte("100")); sensors.ReasonOf(err) != sensors.Unplugged {
		t.Errorf("another controller's output is driven: %v", err)
	}
	for key, set := range map[string]func(o *pwmOptions){
		"frequency": func(o *pwmOptions) { o.Frequency = 50 },
		"channel":   func(o *pwmOptions) { o.Channel = -1 }, "period": func(o *pwmOptions) { o.Period = 0 }, "polarity": func(o *pwmOptions) { o.Polarity = "up" },
		"initial": func(o *pwmOptions) { o.Initial = "101" }, "on_stop": func(o *pwmOptions) { o.OnStop = "x" }, "entity": func(o *pwmOptions) { o.Entity = "a/b" },
		"max_on": func(o *pwmOptions) { o.MaxOn = -1 }, "failsafe.state": func(o *pwmOptions) {
			o.Failsafe = sensors.Failsafe{State: "much", After: time.Second, Without: "heartbeat"}
		},
	} {
		if _, err := build(t, "pwm", func(all any) { o := all.(*pwmOptions); o.Period = time.Millisecond; set(o) }, nil); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// What a frequency stands for is checked like a period.
func TestPWMOptionsWithFrequency(t *testing.T) {
	for key, set := range map[string]func(o *pwmOptions){
		"polarity": func(o *pwmOptions) { o.Polarity = "up" },
		"initial":  func(o *pwmOptions) { o.Require, o.Initial = "tank.level > 10", "40" },
	} {
		if _, err := build(t, "pwm", func(all any) { o := all.(*pwmOptions); o.Frequency = 25000; set(o) }, nil); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
