package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// statusEvery is how often systemd is told the headline when it does not
// watch.
const statusEvery = 30 * time.Second

// notifySystemd is a part that tells systemd that the gateway is ready, how it
// is, and that it lives (sd_notify, sd_watchdog_enabled(3)). Without systemd
// it waits for the end. The watchdog is fed only while the broker answers.
func notifySystemd(a *api.API) func(context.Context) error {
	return func(ctx context.Context) error {
		name := os.Getenv("NOTIFY_SOCKET")
		if name == "" {
			<-ctx.Done()
			return nil
		}
		nc, err := net.Dial("unixgram", name) // a leading @ is Linux' abstract name space here too
		if err != nil {
			return fmt.Errorf("systemd: %w", err)
		}
		defer nc.Close()
		every, feed := watchdog(), "WATCHDOG=1\n"
		if every == 0 {
			every, feed = statusEvery, ""
		}
		tell := func(text string) { nc.Write([]byte(text)) } // systemd alone knows what it misses
		tell("READY=1\nSTATUS=" + headline(a.Status()))
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				tell("STOPPING=1\nSTATUS=stopping")
				return nil
			case <-tick.C:
			}
			if a.Alive() {
				tell(feed + "STATUS=" + headline(a.Status()))
			}
		}
	}
}

// watchdog is how often systemd wants to hear from this process: twice in its
// time; 0 for never.
func watchdog() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

// headline is the gateway in one line: "14 clients, 4/5 devices, cloud down 4
// min (3,214 waiting)".
func headline(s *api.Status) string {
	good := 0
	for _, d := range s.Devices {
		if d.State == "online" {
			good++
		}
	}
	line := strconv.Itoa(s.Broker.Clients) + " clients"
	if n := len(s.Devices); n > 0 {
		line += fmt.Sprintf(", %d/%d devices", good, n)
	}
	for _, b := range s.Bridges {
		line += ", " + b.Name + " " + b.State
		if b.State != "up" {
			line += " " + span(b.Since)
		}
		if b.Waiting > 0 {
			line += " (" + count(b.Waiting) + " waiting)"
		}
	}
	return line
}
