package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// sabrelite is an i.MX6 board.
func sabrelite() scenario {
	return scenario{
		name: "sabrelite", console: "ttymxc1,115200",
		modules: []string{"gpio-mxc", "i2c-imx", "i2c-dev", "micrel", "smsc", "fec", "sdhci-esdhc-imx", "mmc_block", "crc32c_generic", "ext4", "imx2_wdt timeout=10"},
		data:    " data=/dev/mmcblk3",
		config: bridge + `
store: {durability: always, min_free: 1MiB, max_size: 32MiB}
buses: [{id: i2c, type: i2c, path: /dev/i2c-0}]
devices:
  - {name: room, driver: tmp105, bus: i2c, address: 0x48}
  - {name: absent, driver: tmp105, bus: i2c, address: 0x4b}
  - {name: door, driver: gpio_in, line: {chip: gpiochip0, offset: 20}}
  - {name: heater, driver: gpio_out, line: {chip: gpiochip0, offset: 21}}
  - {name: scale, driver: lines, port: {path: /dev/ttymxc0, baud: 115200, settle: 0s}, format: json, stale_after: 10m}
`,
		qemu: func(k *initramfs.Kernel, dir string) []string {
			return []string{"-M", "sabrelite", "-m", "512", "-dtb", dir + "/board.dtb",
				"-chardev", "socket,id=line,server=on,wait=off,path=" + dir + "/line", "-serial", "chardev:line", "-serial", "chardev:console",
				"-device", "tmp105,id=room,bus=i2c-bus.0,address=0x48",
				"-netdev", "user,id=net", "-net", "nic,model=imx.enet,netdev=net",
				"-drive", "if=none,id=card,format=raw,file=" + dir + "/card", "-device", "sd-card,drive=card",
				"-qtest", "unix:" + dir + "/pins,server=on,wait=off", "-qtest-log", "none"}
		},
		prepare: prepareSabrelite,
		play:    playSabrelite,
	}
}

// prepareSabrelite makes the board's device tree and its empty SD card.
func prepareSabrelite(k *initramfs.Kernel, dir string) error {
	if err := os.WriteFile(dir+"/card", nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(dir+"/card", 64<<20); err != nil { // QEMU's cards have a power of two
		return err
	}
	if text, err := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", dir+"/card").CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, text)
	}
	return tree(k, dir)
}

// tree writes the board's device tree without the DMA engine that QEMU does not
// have: serial ports use interrupts then.
func tree(k *initramfs.Kernel, dir string) error {
	out := dir + "/board.dtb"
	if text, err := exec.Command("cp", k.Tree("imx6q-sabrelite.dtb"), out).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	if text, err := exec.Command("fdtput", "-t", "s", out, "/soc/bus@2000000/dma-controller@20ec000", "status", "disabled").CombinedOutput(); err != nil {
		return fmt.Errorf("fdtput: %w: %s", err, text)
	}
	return nil
}

func playSabrelite(w *world) {
	if !w.becomes("the board is there", "status", "online") {
		return
	}
	w.feelsTemperatures()
	pins, err := dial(w.m.path("pins"))
	if !w.do("QEMU's pins are reached", err) {
		return
	}
	defer pins.Close()
	w.drivesPins(newDialogue(pins))
	line, err := dial(w.m.path("line"))
	if !w.do("the serial line is connected", err) {
		return
	}
	w.listensThroughACutCable(line)
	line.Close() // QEMU takes one at a time
	w.keeps(7, "a power cut", func() bool {
		w.m.Kill()
		w.becomes("after a power cut the broker here says so", "status", "offline")
		return w.do("the board starts again", w.start())
	})
	w.hangs()
}

// feelsTemperatures sets the TMP105, and looks at an address where nothing is.
func (w *world) feelsTemperatures() {
	for _, celsius := range []float64{21.5, -10.25, 85, -40} {
		w.do("QEMU sets the temperature", w.m.set("/machine/peripheral/room", "temperature", int(celsius*1000)))
		w.turns(fmt.Sprintf("the TMP105 shows %g degrees", celsius), "room/temperature", func(value string) bool {
			v, err := strconv.ParseFloat(value, 64)
			return err == nil && v > celsius-0.07 && v < celsius+0.07
		})
	}
	w.turns("an address where nothing is has no values and says so", "absent/health", func(value string) bool { return strings.Contains(value, `"state":"offline"`) })
	w.check("and is not online", w.broker.value("sites/board/absent/availability") != "online", "")
}

// drivesPins plays an input, and reads an output's register.
func (w *world) drivesPins(pins *dialogue) {
	for i := range 4 {
		level := (i + 1) % 2
		w.do("a pin is set", pins.write(fmt.Sprintf("set_irq_in /machine/soc/gpio1 unnamed-gpio-in 20 %d", level)))
		pins.read()
		w.becomes(fmt.Sprintf("the input shows edge %d", i+1), "door/input", map[int]string{1: "ON", 0: "OFF"}[level])
	}
	for _, state := range []string{"ON", "OFF"} {
		w.do("a command is sent", w.broker.publish("cmd/board/heater/output/set", state))
		w.becomes("the output says "+state, "heater/output", state)
		w.do("the register is read", pins.write("readl 0x209c000")) // GPIO1_DR
		answer, _ := pins.read()
		var register uint64
		fmt.Sscanf(answer, "OK 0x%x", &register)
		w.check("and its pin is "+state, (register>>21&1 == 1) == (state == "ON"), answer)
	}
}

// listensThroughACutCable speaks on a serial line while the network is away.
func (w *world) listensThroughACutCable(line net.Conn) {
	w.speaksUntil(line, `{"n": 1}`, "scale/n", "1")
	w.do("the network cable is pulled", w.m.ask("set_link", map[string]any{"name": "net", "up": false}))
	time.Sleep(time.Second)
	for n := 2; n <= 6; n++ {
		w.do("the line is spoken on", say(line, fmt.Sprintf(`{"n": %d}`, n)))
	}
	time.Sleep(time.Second)
	w.check("nothing comes through a cable that is out", w.broker.value("sites/board/scale/n") == "1", w.broker.value("sites/board/scale/n"))
	w.do("the cable is back", w.m.ask("set_link", map[string]any{"name": "net", "up": true}))
	w.becomes("what was said meanwhile arrives", "scale/n", "6")
	got := strings.Join(w.broker.values("sites/board/scale/n"), " ")
	w.check("all of it", strings.HasSuffix(got, "2 3 4 5 6"), got)
}

// hangs stops dunlin with the board's watchdog armed: the board starts anew.
func (w *world) hangs() {
	const up = "guest: the board is up"
	starts := strings.Count(w.m.said(), up)
	w.do("a reset begins anew", w.m.ask("set-action", map[string]any{"reboot": "reset"}))
	if !w.do("the watchdog is armed", w.m.guest("watchdog")) || !w.do("dunlin hangs", w.m.guest("hang")) {
		return
	}
	w.becomes("a hung board falls silent", "status", "offline")
	w.becomes("its watchdog brings it back", "status", "online")
	w.check("by a reset", strings.Count(w.m.said(), up) > starts, "")
}

// keeps has ten lines come, from a number on, while the network cable is out;
// then the board is ended in the middle of its work. What was said must arrive
// all the same: it is on the SD card.
func (w *world) keeps(from int, what string, end func() (back bool)) {
	line, err := dial(w.m.path("line"))
	if !w.do("the serial line is connected", err) {
		return
	}
	defer line.Close()
	before := len(w.broker.values("sites/board/scale/n"))
	w.do("the network cable is pulled", w.m.ask("set_link", map[string]any{"name": "net", "up": false}))
	time.Sleep(time.Second)
	var want []string
	for n := from; n < from+10; n++ {
		w.do("the line is spoken on", say(line, fmt.Sprintf(`{"n": %d}`, n)))
		want = append(want, fmt.Sprint(n))
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // they have come up the line
	if !end() {
		return
	}
	w.becomes("after "+what+" the board is back by itself", "status", "online")
	w.becomes("and what was said before arrives", "scale/n", want[9])
	got := strings.Join(w.broker.values("sites/board/scale/n")[before:], " ")
	w.check("all of it, in order", strings.HasSuffix(got, strings.Join(want, " ")), got)
}
