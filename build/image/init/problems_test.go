package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a gateway that does not take the first of what it is told.
type deaf struct {
	tries int
	told  []string
}

func (d *deaf) Publish(_ context.Context, topic, text string) error {
	if d.tries++; d.tries == 1 {
		return errors.New("it is busy")
	}
	d.told = append(d.told, topic+" "+text)
	return nil
}

// What the card says is told to the gateway, too: as soon as it serves, again
// if it did not listen, after each of its starts, and that all is well again.
func TestProblemsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, gateway := newBoard(), &deaf{}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.tellProblems(ctx, gateway) }()
		b.note("data", "It is full.")
		synctest.Wait()
		if gateway.tries > 0 {
			t.Error("told before it serves")
		}
		serve := func() {
			b.life.told("READY=1", t0)
			b.tellReports()
			time.Sleep(2 * time.Minute)
		}
		serve()
		b.life.ended("")
		serve()
		b.news("data", "")
		synctest.Wait()
		full := problemsTopic + " data: It is full.\n\n"
		if want := []string{full, full, problemsTopic + " "}; !slices.Equal(gateway.told, want) {
			t.Errorf("%q, want %q", gateway.told, want)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWithoutUsers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	for _, text := range []string{"", "carol:x"} {
		if err := withoutUsers(name, os.Getuid()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
		write(t, name, "carol:x")
	}
}
