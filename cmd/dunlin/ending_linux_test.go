package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The end of a connection may come together with its last bytes: epoll then
// reports both once. A client without Keep Alive would stay for ever, and its
// will would not be published.
func TestEndBehindTheLastBytesIsSeen(t *testing.T) {
	s := startVictim(t, victimOptions{config: open, self: true, budget: 512 << 20})
	watch := s.dial(mqtt.V5)
	watch.connect("cid=watch")
	watch.send("SUBSCRIBE id=1 f=will@0")
	watch.expect("SUBACK id=1 ...")
	c := s.dial(mqtt.V5)
	c.connect("cid=c ka=0 will=will:gone")
	s.process.Signal(syscall.SIGSTOP)
	c.send("PUBLISH topic=x payload=1") // nothing is written back, which would fail and tell
	c.nc.Close()
	time.Sleep(50 * time.Millisecond) // the kernel has both now
	s.process.Signal(syscall.SIGCONT)
	watch.patient = 20 * time.Second
	if got := watch.receive(); !strings.HasPrefix(got, "PUBLISH topic=will") {
		t.Errorf("the will did not come: %s", got)
	}
}

// A disk that takes nothing, full or at its end, is no reason not to serve: a
// gateway that ended for it would be started again and again.
func TestServesOnAFullDisk(t *testing.T) {
	for _, durability := range []string{"interval", "always"} {
		s := startVictim(t, victimOptions{self: true, budget: 512 << 20, shell: "ulimit -f 0", config: open + `
store: {durability: ` + durability + `}
node: full
devices: [{name: host, driver: system, interval: 1s}]
`})
		w := s.dial(mqtt.V5)
		w.connect("cid=w")
		w.send("SUBSCRIBE id=1 f=dunlin/full/status@0")
		w.expect("SUBACK id=1 ...")
		w.patient = 20 * time.Second
		if got := w.receive(); !strings.Contains(got, "payload=online") {
			t.Errorf("%s: %s", durability, got)
		}
	}
}
