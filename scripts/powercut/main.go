package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

type options struct {
	states, seconds          int
	seed                     uint64
	bad                      bool
	dunlin, offline          string
	guest, kernel, keep, dir string
}

func main() {
	var o options
	flag.IntVar(&o.states, "states", 300, "power cuts")
	flag.IntVar(&o.seconds, "seconds", 15, "how long the machine runs under load")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the choice of power cuts")
	flag.BoolVar(&o.bad, "bad", false, "harm must be found: dunlin has a bug")
	flag.StringVar(&o.dunlin, "dunlin", "", "dunlin for ARM64")
	flag.StringVar(&o.offline, "offline", "", "dunlin for this machine")
	flag.StringVar(&o.guest, "guest", "", "scripts/powercut/guest for ARM64")
	flag.StringVar(&o.kernel, "kernel", "build/out/kernels/arm64", "an unpacked linux-image package with a file \"version\"")
	flag.StringVar(&o.keep, "keep", "", "a directory where the record stays; if it holds one, that is judged")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "powercut")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.dir = dir; o.keep != "" {
		o.dir = o.keep
	}
	if err := o.record(); err != nil {
		return err
	}
	all, err := readRecord(filepath.Join(o.dir, "record"))
	if err != nil {
		return err
	}
	base, err := os.ReadFile(filepath.Join(o.dir, "base"))
	if err != nil {
		return err
	}
	flushes, last := 0, write{}
	for i := range all {
		if all[i].flush {
			flushes++
		}
		if all[i].stamps {
			last = all[i]
		}
	}
	fmt.Printf("powercut: recorded %d requests, %d flushes in %.0f s; acknowledged %d of %v\n", len(all), flushes, time.Since(begin).Seconds(), last.stamp.Acked, last.stamp.After.Round(time.Millisecond))
	t, err := o.judgeAll(all, base, dir)
	if err != nil {
		return err
	}
	fmt.Printf("powercut: %d states, seed %d, %.0f s: %d with writes pending, %d with a write that was cut off, %d messages read; lost: %d of class always, %d of class interval within its bound; %d bad states\n",
		t.states, o.seed, time.Since(begin).Seconds(), t.pending, t.torn, t.messages, t.lost[1], t.lost[0], t.bad)
	switch {
	case o.bad && t.bad == 0:
		return errors.New("the bug was not found")
	case !o.bad && t.bad > 0:
		return fmt.Errorf("%d of %d power cuts did harm", t.bad, t.states)
	}
	return nil
}

// total is the sum of all verdicts.
type total struct {
	sync.Mutex
	states, pending, torn, messages, bad int
	lost                                 [2]int
	err                                  error
}

// judgeAll judges as many disks at a time as there are processors.
func (o *options) judgeAll(all []write, base []byte, dir string) (*total, error) {
	t := &total{}
	states := make(chan *state)
	var work sync.WaitGroup
	for i := range runtime.NumCPU() {
		own := filepath.Join(dir, fmt.Sprint("judge", i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		work.Go(func() {
			for s := range states {
				v, err := judge(s, o.offline, own)
				t.add(s, &v, err, !o.bad)
			}
		})
	}
	err := eachState(all, base, o.states, o.seed, func(s *state) error {
		states <- s
		t.Lock()
		defer t.Unlock()
		return t.err
	})
	close(states)
	work.Wait()
	return t, errors.Join(err, t.err)
}

func (t *total) add(s *state, v *verdict, err error, say bool) {
	t.Lock()
	defer t.Unlock()
	if err != nil {
		t.err = errors.Join(t.err, fmt.Errorf("%v: %w", s, err))
		return
	}
	t.states++
	t.messages += v.messages
	t.torn += v.torn
	if s.pending > 0 {
		t.pending++
	}
	for i := range v.lost {
		t.lost[i] += v.lost[i]
	}
	if len(v.wrong) == 0 {
		return
	}
	if t.bad++; say && t.bad <= 5 {
		for _, what := range v.wrong[:min(3, len(v.wrong))] {
			fmt.Printf("BAD %v: %s\n", s, what)
		}
	}
}

// made reports whether a program could do its work; what it said is the error.
func made(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
