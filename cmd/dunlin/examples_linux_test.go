package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// An example runs on models of its hardware: what is on the buses, what the
// devices say, and what is published then.
type modeled struct {
	file    string
	replace []string // of the example's text, in pairs: times that a test has not
	setup   func(t *testing.T, m *models)
	want    map[string]string // topic below the node's, payload, which may end in "*"
	then    func(t *testing.T, m *models, e *ear)
}

// feed has a device say the same again and again until the test ends.
func feed(t *testing.T, d *serialtest.Device, every time.Duration, say func(n int) []byte) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			if _, err := d.Write(say(n)); err != nil {
				t.Errorf("device: %v", err)
			}
			select {
			case <-stop:
				return
			case <-time.After(every):
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func says(text string) func(int) []byte { return func(int) []byte { return []byte(text) } }

func (e *ear) command(topic, payload string) {
	e.t.Helper()
	if err := e.client.Publish(e.t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.AtLeastOnce}); err != nil {
		e.t.Fatal(err)
	}
}

func modeledExamples() []modeled {
	return []modeled{
		{file: "room.yaml", want: map[string]string{
			"climate/temperature": "21.1*", "climate/availability": "online", "boiler_flow/temperature": "23.5", "door/input": "ON",
			"heater/output": "OFF", "board/temp1": "48.5",
		}, setup: func(t *testing.T, m *models) {
			m.plug = func(id string, b *chipsim.Bus) {
				c := chipsim.NewBME280(0x60, chipsim.Typical())
				c.Set(21, 100000, 40)
				b.Plug(0x76, c)
			}
			m.file("sys/bus/w1/devices/28-3c01e076877d/w1_slave", "78 01 4b 46 7f ff 0c 10 6a : crc=6a YES\n78 01 4b 46 7f ff 0c 10 6a t=23500")
			m.file("sys/class/hwmon/hwmon3/name", "cpu_thermal")
			m.file("sys/class/hwmon/hwmon3/temp1_input", "48500")
			m.gpio.named("GPIO17").set(true)
		}, then: func(t *testing.T, m *models, e *ear) {
			e.command("dunlin/shed/heater/output/set", "ON")
			e.until("refusal while the door is open", e.has("dunlin/shed/heater/output/result", `"ok":false`))
			if on, _ := m.gpio.named("gpiochip0/27").Read(); on {
				t.Error("the heater is on while the door is open")
			}
		}},
		{file: "greenhouse.yaml", replace: []string{"settle: 2s", "settle: 50ms", "throttle_average: 10s", "throttle_average: 200ms", "within: 2s", "within: 20s"}, want: map[string]string{
			"beds/soil": "41.2", "beds/lux": "830", "beds/uptime": "120", "beds/availability": "online",
		}, setup: func(t *testing.T, m *models) {
			board := serialtest.Pty(t)
			m.ports["2341"] = board.Path()
			feed(t, board, 50*time.Millisecond, says(`{"soil": 41.2, "light": {"lux": 830}, "ms": 120000}`+"\n"))
			m.sketch = func() { // it opens the valve when it is told to
				board.Expect("V1\n")
				board.Send(`{"soil": 41.2, "light": {"lux": 830}, "ms": 120000, "valve": 1}` + "\n")
			}
		}, then: func(t *testing.T, m *models, e *ear) {
			e.command("dunlin/greenhouse/beds/valve/set", "ON")
			m.sketch()
			e.until("valve that the board has confirmed", e.has("dunlin/greenhouse/beds/valve/result", `"ok":true`))
		}},
		{file: "tank.yaml", want: map[string]string{
			"tank/level": "50", "tank/availability": "online", "water/availability": "online", "fan/output": "40",
		}, setup: func(t *testing.T, m *models) {
			m.plug = func(id string, b *chipsim.Bus) {
				if id == "mux0/2" {
					c := chipsim.NewADS1115()
					c.Set([4]float64{0.012 * 150, 0, 0, 0}) // 12 mA
					b.Plug(0x48, c)
				}
			}
			dir := "sys/class/pwm/pwmchip0/"
			for name, text := range map[string]string{"npwm": "1", "export": "", "pwm0/enable": "0", "pwm0/period": "0", "pwm0/duty_cycle": "0", "pwm0/polarity": "normal"} {
				m.file(dir+name, text)
			}
			m.file("sys/devices/platform/fe20c000.pwm/modalias", "of:Npwm")
			if err := os.Symlink(filepath.Join(m.root, "sys/devices/platform/fe20c000.pwm"), filepath.Join(m.root, dir, "device")); err != nil {
				t.Fatal(err)
			}
		}, then: func(t *testing.T, m *models, e *ear) {
			for range 1234 {
				m.gpio.named("gpiochip0/22").set(true)
			}
			e.until("water", e.has("dunlin/cellar/water/total", "1.234"))
		}},
		{file: "gps.yaml", replace: []string{"every: 5s", "every: 100ms", "trust: true", "trust: false"}, want: map[string]string{
			"gps/latitude": "48.1173", "gps/availability": "online", "scale/weight": "12.345",
		}, setup: func(t *testing.T, m *models) {
			receiver, scale := serialtest.Pty(t), serialtest.Pty(t)
			m.ports["/dev/serial0"], m.ports["067b"] = receiver.Path(), scale.Path()
			feed(t, receiver, 100*time.Millisecond, func(n int) []byte {
				gga := fmt.Sprintf("GPGGA,1235%02d,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", n%60)
				rmc := fmt.Sprintf("GPRMC,1235%02d,A,4807.038,N,01131.000,E,022.4,084.4,230324,003.1,W", n%60)
				return []byte(nmeaSentence(gga) + nmeaSentence(rmc))
			})
			feed(t, scale, 150*time.Millisecond, says("ST,GS,+  12.345kg\r\n"))
		}},
		{file: "kernel.yaml", want: map[string]string{
			"host/memory_total": "1024000000", "board_sensors/lm75_temp1": "31.5", "cellar/temperature": "19", "cellar/humidity": "71",
			"motor/rpm": "1450", "motor/winding": "63.5", "motor/overcurrent": "OFF", "motor/overtemp": "ON", "motor/availability": "online",
		}, setup: func(t *testing.T, m *models) {
			m.file("proc/meminfo", "MemTotal:        1000000 kB\nMemAvailable:     400000 kB")
			m.file("proc/uptime", "1234.5 999")
			m.file("sys/class/hwmon/hwmon0/name", "lm75")
			m.file("sys/class/hwmon/hwmon0/temp1_input", "31500")
			dht := "sys/bus/iio/devices/iio:device0/"
			m.file(dht+"name", "dht11")
			m.file(dht+"in_temp_input", "19000")
			m.file(dht+"in_humidityrelative_input", "71000")
			motor := serialtest.Pty(t)
			m.ports["2e8a"] = motor.Path()
			check, _ := serial.CheckNamed("crc16_ccitt_false")
			f := serial.Framing{Kind: "cobs", Max: 64, Check: check}
			feed(t, motor, 20*time.Millisecond, func(n int) []byte {
				frame, err := f.Append(nil, []byte{byte(n), 0xAA, 0x05, 0x7B, 0x02, 2})
				if err != nil {
					t.Error(err)
				}
				return frame
			})
		}},
	}
}

// nmeaSentence adds the checksum.
func nmeaSentence(text string) string {
	sum := byte(0)
	for i := range len(text) {
		sum ^= text[i]
	}
	return fmt.Sprintf("$%s*%02X\r\n", text, sum)
}

// Each example for devices publishes what its models have; modbus.yaml has a
// test of its own.
func TestExamplesOnModels(t *testing.T) {
	for _, x := range modeledExamples() {
		t.Run(x.file, func(t *testing.T) {
			t.Parallel()
			text, err := fs.ReadFile(config.Examples(), x.file)
			if err != nil {
				t.Fatal(err)
			}
			pairs := append([]string{`bind: ":1883"`, `bind: "127.0.0.1:0"`}, x.replace...)
			for i := 0; i < len(pairs); i += 2 {
				if !strings.Contains(string(text), pairs[i]) {
					t.Fatalf("the example has no %q", pairs[i])
				}
				text = []byte(strings.ReplaceAll(string(text), pairs[i], pairs[i+1]))
			}
			m := newModels(t)
			x.setup(t, m)
			_, g, stop := startGateway(t, string(text), deps{buses: m})
			defer stop()
			root := "dunlin/" + g.started.Node + "/"
			e := listenTo(t, g, root+"#")
			for topic, payload := range x.want {
				start, open := strings.CutSuffix(payload, "*")
				e.until(topic+" = "+payload, func() bool {
					got := e.newest[root+topic]
					return got == payload || open && strings.HasPrefix(got, start)
				})
			}
			if x.then != nil {
				x.then(t, m, e)
			}
			stop()
		})
	}
}
