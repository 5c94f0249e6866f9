package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// virt has a USB controller to which devices can be plugged while it runs.
func virt() scenario {
	return scenario{
		name: "virt", console: "ttyAMA0",
		modules: []string{"virtio_pci", "virtio_net", "xhci-pci", "ftdi_sio"},
		config: bridge + `
devices:
  - {name: scale, driver: lines, port: {usb: {vid: "0403", pid: "6001"}, baud: 9600, settle: 0s}, format: json, stale_after: 10m}
`,
		qemu: func(k *initramfs.Kernel, dir string) []string {
			return []string{"-M", "virt,highmem=off", "-m", "256", "-serial", "chardev:console",
				"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "qemu-xhci,id=xhci",
				"-chardev", "socket,id=line,server=on,wait=off,path=" + dir + "/line"}
		},
		play: playVirt,
	}
}

func playVirt(w *world) {
	if !w.becomes("the board is there", "status", "online") {
		return
	}
	plug := func() error {
		return w.m.ask("device_add", map[string]any{"driver": "usb-serial", "id": "ftdi", "chardev": "line", "bus": "xhci.0"})
	}
	var line net.Conn
	defer func() {
		if line != nil {
			line.Close()
		}
	}()
	for n := 1; n <= 3; n++ {
		if !w.do("the adapter is plugged", plug()) {
			return
		}
		if line == nil {
			var err error
			if line, err = dial(w.m.path("line")); !w.do("the line is connected", err) {
				return
			}
		}
		w.speaksUntil(line, fmt.Sprintf(`{"n": %d}`, n), "scale/n", fmt.Sprint(n))
		w.becomes("the scale is online", "scale/availability", "online")
		if n == 1 {
			w.outage(func(text string) error { return say(line, text) }, "scale/n")
		}
		if n == 2 {
			before := len(w.broker.values("sites/board/scale/availability"))
			w.do("the adapter is pulled for a moment", w.m.ask("device_del", map[string]any{"id": "ftdi"}))
			time.Sleep(200 * time.Millisecond)
			w.do("and put back", plug())
			w.speaksUntil(line, `{"n": 20}`, "scale/n", "20")
			seen := w.broker.values("sites/board/scale/availability")[before:]
			w.check("nobody saw that", len(seen) == 0, strings.Join(seen, " "))
		}
		w.do("the adapter is pulled", w.m.ask("device_del", map[string]any{"id": "ftdi"}))
		w.becomes("the scale is offline without its adapter", "scale/availability", "offline")
	}
}

func say(line io.Writer, text string) error {
	_, err := io.WriteString(line, text+"\n")
	return err
}

// speaksUntil says a line every second until it has arrived: what is said
// before the port is open is lost, as on a real line.
func (w *world) speaksUntil(line io.Writer, text, topic, want string) {
	for range 30 {
		if !w.do("the line is spoken on", say(line, text)) {
			return
		}
		for range 50 {
			if w.broker.value("sites/board/"+topic) == want {
				w.check("a line over the converter arrives", true, "")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	w.check("a line over the converter arrives", false, w.broker.value("sites/board/"+topic))
}
