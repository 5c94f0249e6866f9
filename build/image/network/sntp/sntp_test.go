package sntp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// answer is a server's packet for a request that carried the cookie.
func answer(cookie uint64, stratum byte, arrived, left time.Time) []byte {
	b := make([]byte, packetSize)
	b[0], b[1] = 4<<3|4, stratum
	binary.BigEndian.PutUint64(b[24:], cookie)
	put := func(at int, t time.Time) {
		binary.BigEndian.PutUint32(b[at:], uint32(t.Unix()+2208988800))
		binary.BigEndian.PutUint32(b[at+4:], uint32(uint64(t.Nanosecond())<<32/1e9))
	}
	put(32, arrived)
	put(40, left)
	return b
}

func TestReply(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	good := func() []byte { return answer(7, 2, at.Add(10*time.Second), at.Add(10*time.Second)) }
	for _, tc := range []struct {
		name string
		edit func(b []byte) []byte
		took time.Duration
		ok   bool
	}{
		{"a good one", func(b []byte) []byte { return b }, 20 * time.Millisecond, true},
		{"another's cookie", func(b []byte) []byte { b[31]++; return b }, 20 * time.Millisecond, false},
		{"cut off", func(b []byte) []byte { return b[:47] }, 20 * time.Millisecond, false},
		{"a client's packet", func(b []byte) []byte { b[0] = 4<<3 | 3; return b }, 20 * time.Millisecond, false},
		{"not synchronized", func(b []byte) []byte { b[0] |= 3 << 6; return b }, 20 * time.Millisecond, false},
		{"stratum 16", func(b []byte) []byte { b[1] = 16; return b }, 20 * time.Millisecond, false},
		{"no time", func(b []byte) []byte { clear(b[40:]); return b }, 20 * time.Millisecond, false},
		{"too slow", func(b []byte) []byte { return b }, 3 * time.Second, false},
		{"a root far away", func(b []byte) []byte { b[9] = 2; return b }, 20 * time.Millisecond, false},
	} {
		s, err := reply(tc.edit(good()), 7, at, tc.took)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if want := 10*time.Second - 10*time.Millisecond; tc.ok && (s.Offset-want).Abs() > time.Microsecond {
			t.Errorf("%s: offset %v, want %v", tc.name, s.Offset, want)
		}
	}
	kod := good()
	kod[1] = 0
	copy(kod[12:], "RATE")
	var kiss Kiss
	if _, err := reply(kod, 7, at, time.Millisecond); !errors.As(err, &kiss) || kiss != "RATE" {
		t.Errorf("kiss of death: %v", err)
	}
	if got := stamp([]byte{0, 0, 0, 1, 0, 0, 0, 0}); got.UTC().Year() != 2036 {
		t.Errorf("the second second of era 1 is %v", got)
	}
}

func TestMajority(t *testing.T) {
	s := func(offset, within time.Duration) Sample {
		return Sample{offset * time.Millisecond, within * time.Millisecond}
	}
	for _, tc := range []struct {
		name    string
		samples []Sample
		want    time.Duration
		ok      bool
	}{
		{"none", nil, 0, false},
		{"one is believed", []Sample{s(500, 10)}, 500, true},
		{"two that agree", []Sample{s(100, 10), s(110, 10)}, 105, true},
		{"two that do not", []Sample{s(100, 10), s(200, 10)}, 0, false},
		{"a falseticker of three", []Sample{s(100, 10), s(9e6, 10), s(104, 10)}, 102, true},
		{"two falsetickers of four", []Sample{s(100, 10), s(9e6, 10), s(9e6, 10), s(104, 10)}, 0, false},
		{"two of five", []Sample{s(1, 5), s(3, 5), s(900, 5), s(-900, 5), s(5, 5)}, 3, true},
	} {
		got, err := majority(tc.samples)
		if (err == nil) != tc.ok || got != tc.want*time.Millisecond {
			t.Errorf("%s: %v, %v", tc.name, got, err)
		}
	}
}

// wrong is a clock that is wrong, and writes down what is done about it.
type wrong struct {
	sync.Mutex
	by            time.Duration
	stepped, slew time.Duration
}

func (w *wrong) is() (by, stepped, slew time.Duration) {
	w.Lock()
	defer w.Unlock()
	return w.by, w.stepped, w.slew
}

func (w *wrong) set(by time.Duration) {
	w.Lock()
	defer w.Unlock()
	w.by = by
}

func (w *wrong) Now() time.Time {
	by, _, _ := w.is()
	return time.Now().Add(by)
}

func (w *wrong) Step(offset time.Duration) error {
	w.Lock()
	defer w.Unlock()
	w.stepped += offset
	w.by += offset
	return nil
}

func (w *wrong) Slew(offset time.Duration) error {
	w.Lock()
	defer w.Unlock()
	w.slew += offset
	return nil
}

// network is five servers: three that are right, a liar, and one that does
// not want to be asked.
type network struct {
	sync.Mutex
	clock *wrong
	up    bool
	asked map[string]int
}

func (n *network) raise() {
	n.Lock()
	defer n.Unlock()
	n.up = true
}

func (n *network) times(server string) int {
	n.Lock()
	defer n.Unlock()
	return n.asked[server]
}

func (n *network) ask(_ context.Context, server string) (Sample, error) {
	n.Lock()
	defer n.Unlock()
	n.asked[server]++
	switch {
	case !n.up:
		return Sample{}, errors.New("no route")
	case server == "deny":
		return Sample{}, Kiss("DENY")
	case server == "liar":
		return Sample{Offset: 24 * time.Hour, Error: time.Millisecond}, nil
	}
	by, _, _ := n.clock.is()
	return Sample{Offset: -by, Error: time.Millisecond}, nil
}

func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		file := filepath.Join(t.TempDir(), "init", "clock")
		clock := &wrong{by: -time.Hour}
		n := &network{clock: clock, asked: map[string]int{}}
		wake := make(chan struct{})
		var problem atomic.Value
		problem.Store("")
		c := &Client{Clock: clock, File: file, Problem: func(text string) { problem.Store(text) }, Logf: t.Logf, Wake: wake, Ask: n.ask, Servers: func() []string { return []string{"a", "b", "c", "liar", "deny"} }}
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := n.times("a"); n < 3 || n > 6 {
			t.Errorf("without a network: asked %d times in a minute", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if told := problem.Load().(string); !strings.Contains(told, "ntp = ") {
			t.Errorf("without a network nobody is told: %q", told)
		}
		n.raise()
		wake <- struct{}{}
		synctest.Wait()
		if by, stepped, _ := clock.is(); by != 0 || stepped != time.Hour {
			t.Errorf("stepped by %v, still wrong by %v", stepped, by)
		}
		if told := problem.Load(); told != "" {
			t.Errorf("the time is known, and %q stays", told)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		denied := n.times("deny")
		clock.set(100 * time.Millisecond)
		time.Sleep(20 * time.Minute)
		if _, stepped, slew := clock.is(); slew != -100*time.Millisecond || stepped != time.Hour {
			t.Errorf("slewed by %v, stepped by %v", slew, stepped)
		}
		if n.times("deny") != denied {
			t.Error("asked a server that had sent a kiss of death")
		}
		cancel()
		<-done
		fresh := &wrong{by: -365 * 24 * time.Hour}
		if behind, err := Restore(fresh, file, time.Time{}); err != nil || behind < 364*24*time.Hour || fresh.Now().Sub(clock.Now()).Abs() > 2*time.Second {
			t.Errorf("restored by %v: %v", behind, err)
		}
		ahead := &wrong{by: time.Hour}
		if behind, err := Restore(ahead, file, time.Now()); err != nil || behind != 0 || ahead.stepped != 0 {
			t.Errorf("a clock that is ahead was set by %v: %v", ahead.stepped, err)
		}
	})
}

// Without a time server the clock goes on after a restart where it was.
func TestTimeThatNobodyKnowsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &wrong{by: -1000 * time.Hour}
		file := filepath.Join(t.TempDir(), "clock")
		c := &Client{Clock: clock, File: file, Problem: func(string) {}, Logf: t.Logf, Servers: func() []string { return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		time.Sleep(10 * time.Hour)
		next := &wrong{by: -1010 * time.Hour} // the power was cut
		if _, err := Restore(next, file, time.Time{}); err != nil || clock.Now().Sub(next.Now()) > time.Hour {
			t.Errorf("the next start is at %v, this one was at %v: %v", next.Now(), clock.Now(), err)
		}
		cancel()
		<-done
	})
}

func TestRestoreWithoutFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	if behind, err := Restore(&wrong{}, file, time.Time{}); behind != 0 || err != nil {
		t.Errorf("%v, %v", behind, err)
	}
	// It is not earlier than when the image was made, whatever the file says.
	for _, text := range []string{"", "half a li", "2001-01-01T00:00:00Z\n"} {
		if text != "" {
			os.WriteFile(file, []byte(text), 0o644)
		}
		c := &wrong{by: -20 * 365 * 24 * time.Hour}
		built := time.Now().Add(-time.Hour)
		behind, err := Restore(c, file, built)
		if (err != nil) != (text == "half a li") || behind <= 0 || c.Now().Sub(built).Abs() > time.Minute {
			t.Errorf("%q: behind by %v, %v; the clock is at %v", text, behind, err, c.Now())
		}
	}
}

// TestQuery asks a server on loopback that is ten seconds ahead, for a clock that is a
// minute behind, and answers
// with a wrong cookie first.
func TestQuery(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [packetSize]byte
		_, from, err := server.ReadFrom(b[:])
		if err != nil {
			return
		}
		now := time.Now().Add(10 * time.Second)
		cookie := binary.BigEndian.Uint64(b[40:])
		server.WriteTo(answer(cookie+1, 1, now.Add(time.Hour), now.Add(time.Hour)), from)
		server.WriteTo(answer(cookie, 1, now, now), from)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Query(ctx, &wrong{by: -time.Minute}, server.LocalAddr().String())
	if err != nil || (s.Offset-70*time.Second).Abs() > s.Error+10*time.Millisecond {
		t.Errorf("%+v, %v", s, err)
	}
	server.Close()
	<-done
}

func FuzzReply(f *testing.F) {
	at := time.Unix(1800000000, 0)
	f.Add(answer(7, 1, at, at), int64(1e6))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, elapsed int64) {
		s, err := reply(b, 7, at, time.Duration(elapsed))
		if err == nil && s.Error <= 0 {
			t.Errorf("an error of %v", s.Error)
		}
	})
}
