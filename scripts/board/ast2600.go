package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// Registers of the AST2600's GPIO controller for the lines A0 to D7: the data
// (of an output: its level) and the direction, a bit a line.
const (
	gpioData      = 0x00
	gpioDirection = 0x04
	heaterLine    = 9 // B1
)

func ast2600() scenario {
	return scenario{
		name: "ast2600", console: "ttyS4,115200",
		modules: []string{"gpio-aspeed", "i2c-aspeed", "i2c-dev", "lm75", "dps310", "mdio-aspeed", "realtek", "ftgmac100", "cdc-acm", "dummy_hcd", "usb_f_acm", "g_serial"},
		config: bridge + `
buses: [{id: i2c, type: i2c, path: /dev/i2c-3}]
devices:
  - {name: room, driver: tmp105, bus: i2c, address: 0x49}
  - {name: board, driver: hwmon, match: {name: [tmp105]}, bind: {chip: tmp105, bus: i2c, address: 0x48}}
  - {name: air, driver: iio, match: {name: dps310}, bind: {chip: dps310, bus: i2c, address: 0x76}}
  - {name: door, driver: gpio_in, line: {chip: gpiochip0, offset: 8}}
  - {name: taken, driver: gpio_in, line: {chip: gpiochip0, offset: 0}} # MDIO has it
  - {name: heater, driver: gpio_out, line: {chip: gpiochip0, offset: 9}, initial: active}
  - {name: scale, driver: lines, port: {usb: {vid: "0525", pid: "a4a7"}, settle: 0s}, format: json, stale_after: 10m}
`,
		qemu: func(k *initramfs.Kernel, dir string) []string {
			return []string{"-M", "ast2600-evb", "-dtb", k.Tree("aspeed-ast2600-evb.dtb"),
				"-serial", "chardev:console",
				"-device", "tmp105,id=room,bus=aspeed.i2c.bus.3,address=0x49", "-device", "tmp105,id=board,bus=aspeed.i2c.bus.3,address=0x48",
				"-device", "dps310,bus=aspeed.i2c.bus.3,address=0x76", "-net", "nic", "-net", "user",
				"-trace", "aspeed_gpio_write", "-D", dir + "/trace"}
		},
		play: playAST2600,
	}
}

func playAST2600(w *world) {
	if !w.becomes("the board is there", "status", "online") {
		return
	}
	w.check("its first value is retained at the broker here", w.broker.retained("sites/board/status") == "online", "")
	for name, topic := range map[string]string{"room": "room/temperature", "board": "board/temp1"} {
		for _, celsius := range []float64{23.5, -10.25, 85, -40} {
			err := w.m.set("/machine/peripheral/"+name, "temperature", int(celsius*1000))
			w.do("QEMU sets the temperature", err)
			w.turns(fmt.Sprintf("the TMP105 of %s shows %g degrees", name, celsius), topic, func(value string) bool {
				v, err := strconv.ParseFloat(value, 64)
				return err == nil && v > celsius-0.07 && v < celsius+0.07
			})
		}
	}
	w.turns("the DPS310 shows a pressure", "air/pressure", func(value string) bool {
		v, err := strconv.ParseFloat(value, 64)
		return err == nil && v > 0
	})
	for i := range 4 {
		level := i%2 == 0
		w.do("QEMU sets the input", w.m.set("/machine/soc/gpio", "gpioB0", level))
		w.becomes(fmt.Sprintf("the input shows edge %d", i+1), "door/input", map[bool]string{true: "ON", false: "OFF"}[level])
	}
	w.turns("a pin with another function says so", "taken/health", func(value string) bool { return strings.Contains(value, "another function") })
	w.becomes("the output is active from the start", "heater/output", "ON")
	w.noGlitch(true)
	w.do("a command is sent", w.broker.publish("cmd/board/heater/output/set", "OFF"))
	w.becomes("a command from here switches the output off", "heater/output", "OFF")
	w.noGlitch(false)

	const gadget = "/dev/ttyGS0"
	say := func(text string) error { return w.m.guest("send " + gadget + " " + text) }
	w.do("the other end of the serial gadget opens", w.m.guest("tty "+gadget))
	w.becomes("the CDC-ACM port is found by its USB ids", "scale/availability", "")
	w.do("it speaks", say(`{"n": 1}`))
	w.becomes("a line over USB arrives", "scale/n", "1")
	w.outage(say, "scale/n")
	w.do("the gadget's end closes", w.m.guest("close "+gadget))
	w.do("the cable is pulled", w.m.guest("rmmod g_serial"))
	w.becomes("the scale goes offline when it is unplugged", "scale/availability", "offline")
	w.turns("and says why", "scale/health", func(value string) bool { return strings.Contains(value, "unplugged") })
	w.do("the cable is back", w.m.guest("insmod g_serial.ko"))
	w.do("the other end opens again", w.m.guest("tty "+gadget))
	time.Sleep(2 * time.Second) // dunlin looks for the port every second
	w.do("it speaks again", say(`{"n": 2}`))
	w.becomes("a line over the port that came back arrives", "scale/n", "2")
	w.becomes("and the scale is online", "scale/availability", "online")

	w.do("dunlin is killed", w.m.guest("kill"))
	w.turns("the broker here hears of it", "status", func(value string) bool { return value == "offline" || strings.Contains(w.m.said(), "dunlin ended") })
	w.do("QEMU sets the temperature", w.m.set("/machine/peripheral/room", "temperature", 31250))
	w.becomes("dunlin started again goes on", "room/temperature", "31.25")
}

// noGlitch reads from QEMU's trace of the GPIO registers what level the
// heater's line had while it was an output: on from the first, and off only
// after the command.
func (w *world) noGlitch(on bool) {
	f, err := os.Open(w.dir + "/trace")
	if err != nil {
		w.do("the trace of registers is read", err)
		return
	}
	defer f.Close()
	var data, direction uint64
	var levels []bool
	for lines := bufio.NewScanner(f); lines.Scan(); {
		_, rest, ok := strings.Cut(lines.Text(), "aspeed_gpio_write offset: ")
		if !ok {
			continue
		}
		var offset, value uint64
		if n, _ := fmt.Sscanf(strings.TrimSpace(rest), "0x%x value 0x%x", &offset, &value); n != 2 {
			continue
		}
		switch offset {
		case gpioData:
			data = value
		case gpioDirection:
			direction = value
		default:
			continue
		}
		level := data>>heaterLine&1 == 1
		if direction>>heaterLine&1 == 1 && (len(levels) == 0 || levels[len(levels)-1] != level) {
			levels = append(levels, level)
		}
	}
	if on {
		w.check("the registers show the line active since it is an output", len(levels) == 1 && levels[0], fmt.Sprint(levels))
	} else {
		w.check("the registers show one change, at the command", len(levels) == 2 && levels[0] && !levels[1], fmt.Sprint(levels))
	}
}
