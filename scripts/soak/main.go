package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func main() {
	length := flag.Duration("time", 10*time.Minute, "how long the clients live")
	clients := flag.Int("clients", 500, "number of clients")
	rate := flag.Float64("rate", 250, "actions a second, all clients together")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "random seed")
	slack := flag.Int("slack", 32<<10, "`kB` of memory that may stay: what the runtime keeps for the next burst")
	binary := flag.String("binary", "build/out/dunlin", "the `program` to run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Printf("seed %d, %d clients, %v\n", *seed, *clients, *length)
	if err := soak(ctx, *binary, *length, *clients, *rate, *seed, *slack); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, binary string, length time.Duration, clients int, rate float64, seed uint64, slack int) (err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, devices, err := newFleet(dir)
	if err != nil {
		return err
	}
	s, err := startServer(binary, dir, devices)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.stop())
		if s.log.Len() > 0 {
			fmt.Printf("the server's log:\n%.4000s\n", s.log.String())
		}
	}()
	w := newWorld(s.address, seed, clients)
	w.interval = time.Duration(float64(clients) / rate * float64(time.Second))
	watcher, err := w.watchWills()
	if err != nil {
		return err
	}
	defer watcher.nc.Close()
	if err := opened(watcher); err != nil {
		return err
	}
	stop, err := f.start(w)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(1500 * time.Millisecond) // a round of $SYS, with the devices
	before, err := s.sample()
	if err != nil {
		return err
	}
	fmt.Println("at the start:", before)
	live(ctx, w, s, f, length)
	settled, err := s.look()
	if err != nil {
		return err
	}
	fmt.Println("settled:     ", settled)
	w.each((*actor).quit)
	time.Sleep(w.late + 5*time.Second - looksTake) // wills and sessions that expire
	after, err := s.sample()
	if err != nil {
		return err
	}
	fmt.Println("at the end:  ", after)
	fmt.Println(f)
	for _, err := range w.wills.judge() {
		w.fault(err.Error())
	}
	return verdict(w, s, before, after, slack)
}

// opened makes the server open its journal, which it does with the first record.
func opened(c *wire) error {
	for id, payload := range []string{"once", ""} { // and cleared
		if err := c.send(&packet.View{Type: packet.PUBLISH, ID: uint16(2 + id), Publish: packet.Publish{
			Topic: []byte("opened"), QoS: mqtt.AtLeastOnce, Retain: true, Payload: []byte(payload)}}); err != nil {
			return err
		}
	}
	return nil
}

// live runs the actors and says every ten seconds how it goes.
func live(ctx context.Context, w *world, s *server, f *fleet, length time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		for ctx.Err() == nil {
			pause(ctx, 10*time.Second)
			now, err := s.look()
			if err != nil {
				w.fault("sample: " + err.Error())
				cancel()
				return
			}
			fmt.Printf("%6.0f s: %v, %d messages delivered, %d faults\n", time.Since(w.start).Seconds(), now, w.delivered.Load(), w.faults.Load())
		}
	}()
	stop := w.keepAlive()
	defer stop()
	var devices sync.WaitGroup
	devices.Go(func() { f.live(ctx) })
	w.run(ctx)
	devices.Wait()
	<-reported
	w.settle()
}

func verdict(w *world, s *server, before, after sample, slack int) error {
	for what, n := range map[string][2]int{
		"goroutines": {before.goroutines, after.goroutines}, "sessions": {before.sessions, after.sessions},
		"descriptors": {before.descriptors, after.descriptors}, "kB of memory": {before.resident + slack, after.resident},
	} {
		if n[1] > n[0] {
			w.fault(fmt.Sprintf("%s leaked: %d, at the start %d", what, n[1], n[0]))
		}
	}
	for _, zero := range []string{
		"dunlin/connections/panics", "dunlin/connections/slow_consumers", "dunlin/retained/refused", "dunlin/messages/refused",
	} {
		if n := s.value(zero); n != 0 {
			w.fault(fmt.Sprintf("$SYS/%s is %d", zero, n))
		}
	}
	fmt.Printf("%d messages delivered, %d wills, %d connections refused\n", w.delivered.Load(), len(w.wills.all), w.refused.Load())
	if n := w.faults.Load(); n > 0 {
		return fmt.Errorf("%d faults", n)
	}
	return nil
}
