package modbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

const (
	timeout  = 300 * time.Millisecond
	recovery = time.Second
)

// wired is a Master in a bubble, on a wire without length to the units.
func wired(t *testing.T, tcp bool, u *modbustest.Units) *modbus.Master {
	t.Helper()
	var serving sync.WaitGroup
	m := modbus.New(modbus.Options{
		TCP: tcp, Timeout: timeout, Recovery: recovery, Turnaround: 20 * time.Millisecond,
		Open: func(context.Context) (modbus.Conn, error) {
			near, far := modbustest.Wire()
			serving.Go(func() {
				defer far.Close()
				if tcp {
					u.ServeTCP(far)
				} else {
					u.ServeRTU(far)
				}
			})
			return near, nil
		},
	})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return m
}

// read reads one holding register.
func read(t *testing.T, m *modbus.Master, unit byte, address uint16) (uint16, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	into := make([]uint16, 1)
	err := m.Read(ctx, unit, modbus.Holding, address, into)
	return into[0], err
}

// registers gives a unit n holding registers of the value 1000 + address.
func registers(u *modbustest.Units, unit byte, n int) {
	for i := range n {
		u.Set(unit, modbustest.Holding, uint16(i), uint16(1000+i))
	}
}

// A slave that is late at random, up to a little less than time-out and
// recovery together, puts no value under a wrong name.
func TestLateAnswersAreNeverBelieved(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%v", tcp), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slave, rng := rand.New(rand.NewPCG(5, 6)), rand.New(rand.NewPCG(7, 8))
				late := 0
				var pending sync.WaitGroup
				u := &modbustest.Units{Twist: func(n int, _, answer []byte, send func([]byte)) {
					if slave.IntN(10) > 0 {
						send(answer)
						return
					}
					late++
					pending.Add(1)
					time.AfterFunc(timeout+time.Duration(slave.Int64N(int64(recovery))), func() { defer pending.Done(); send(answer) })
				}}
				registers(u, 1, 100)
				registers(u, 2, 100)
				m := wired(t, tcp, u)
				good, reads := 0, 10_000
				if testing.Short() {
					reads = 1000
				}
				for range reads {
					address := uint16(rng.IntN(100))
					v, err := read(t, m, byte(1+rng.IntN(2)), address)
					switch {
					case err == nil && v != 1000+address:
						t.Fatalf("register %d reads %d", address, v)
					case err == nil:
						good++
					}
					time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
				}
				pending.Wait()
				if late < reads/100 || good < reads/2 {
					t.Errorf("%d late answers, %d good reads: this tests nothing", late, good)
				}
			})
		})
	}
}

// However late a unit is, constantly or at random, it puts no value under a
// wrong name: it answers in order, so what it owes is told by its shape.
func TestNoLatenessMakesAWrongValue(t *testing.T) {
	for name, latency := range map[string]func(rng *rand.Rand) time.Duration{
		"1.5s":      func(*rand.Rand) time.Duration { return 1500 * time.Millisecond },
		"2.6s":      func(*rand.Rand) time.Duration { return 2600 * time.Millisecond },
		"12s":       func(*rand.Rand) time.Duration { return 12 * time.Second },
		"up to 20s": func(rng *rand.Rand) time.Duration { return time.Duration(rng.Int64N(int64(20 * time.Second))) },
		"seldom 20s": func(rng *rand.Rand) time.Duration {
			return time.Duration(rng.IntN(8)/7) * time.Duration(rng.Int64N(int64(20*time.Second)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slave, rng := rand.New(rand.NewPCG(5, 6)), rand.New(rand.NewPCG(7, 8))
				u := &modbustest.Units{Twist: func(_ int, _, answer []byte, send func([]byte)) {
					time.Sleep(latency(slave))
					send(answer)
				}}
				registers(u, 1, 100)
				m := wired(t, false, u)
				good, late := 0, 0
				for range 2000 {
					address, into := rng.IntN(90), make([]uint16, 1+rng.IntN(3))
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					err := m.Read(ctx, 1, modbus.Holding, uint16(address), into)
					cancel()
					for i, v := range into {
						if err == nil && int(v) != 1000+address+i {
							t.Fatalf("register %d is %d", address+i, v)
						}
					}
					if err == nil {
						good++
					} else if errors.Is(err, modbus.ErrLate) {
						late++
					}
					time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
				}
				t.Logf("%d reads worked, %d saw a late answer", good, late)
				if name == "seldom 20s" && good < 200 || name == "12s" && late == 0 {
					t.Error("this tests nothing")
				}
			})
		})
	}
}

// A unit that is not there costs the others one time-out at a time, and soon
// very seldom.
func TestSilentUnitHarmsNoOther(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%v", tcp), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{}
				registers(u, 1, 1)
				m := wired(t, tcp, u)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				asked := 0
				var silent sync.WaitGroup
				silent.Go(func() {
					for ctx.Err() == nil {
						start := time.Now()
						err := m.Read(ctx, 9, modbus.Holding, 0, make([]uint16, 1))
						if ctx.Err() == nil && !errors.Is(err, modbus.ErrTimeout) {
							t.Errorf("a silent unit: %v", err)
						}
						if time.Since(start) >= timeout {
							asked++
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
				worst := time.Duration(0)
				reads := 0
				for start := time.Now(); time.Since(start) < 9*time.Minute; reads++ {
					before := time.Now()
					if _, err := read(t, m, 1, 0); err != nil {
						t.Fatalf("unit 1: %v", err)
					}
					worst = max(worst, time.Since(before))
					time.Sleep(50 * time.Millisecond)
				}
				cancel()
				silent.Wait()
				if worst > timeout+100*time.Millisecond {
					t.Errorf("unit 1 once waited %v", worst)
				}
				if reads < 7000 || asked < 40 || asked > 70 {
					t.Errorf("%d reads of unit 1, %d tries of unit 9 in nine minutes", reads, asked)
				}
			})
		})
	}
}

// A unit that comes back is back within the longest pause, and then as quick
// as ever.
func TestUnitComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		registers(u, 1, 1)
		var lost atomic.Bool
		u.Twist = func(_ int, _, answer []byte, send func([]byte)) {
			if !lost.Swap(false) {
				send(answer)
			}
		}
		m := wired(t, false, u)
		for range 200 {
			_, _ = read(t, m, 2, 0) // not there yet
			time.Sleep(time.Second)
		}
		registers(u, 2, 1)
		back := time.Now()
		for {
			if v, err := read(t, m, 2, 0); err == nil && v == 1000 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(back); d > 11*time.Second {
			t.Errorf("back after %v", d)
		}
		start := time.Now()
		for range 10 {
			if _, err := read(t, m, 2, 0); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("ten reads took %v", d)
		}
		lost.Store(true)
		if _, err := read(t, m, 2, 0); !errors.Is(err, modbus.ErrTimeout) {
			t.Errorf("a lost answer: %v", err)
		}
		start = time.Now()
		if _, err := read(t, m, 2, 0); err != nil || time.Since(start) > recovery+100*time.Millisecond {
			t.Errorf("after one lost answer: %v after %v", err, time.Since(start))
		}
	})
}

// failures are the ways in which an answer goes wrong, and some in which it
// does not.
var failures = []struct {
	name  string
	want  error
	twist func(request, answer []byte, send func([]byte))
}{
	{"silence", modbus.ErrTimeout, func(_, _ []byte, _ func([]byte)) {}},
	{"garbage", modbus.ErrGarbage, func(_, _ []byte, send func([]byte)) { send([]byte("#!rkPq")) }},
	{"bad CRC", modbus.ErrCRC, func(_, a []byte, send func([]byte)) { a[3] ^= 1; send(a) }},
	{"wrong unit", modbus.ErrUnit, func(_, _ []byte, send func([]byte)) { send(modbustest.WithCRC([]byte{7, 3, 2, 0, 1})) }},
	{"truncated", modbus.ErrTruncated, func(_, a []byte, send func([]byte)) { send(a[:4]) }},
	{"echo", modbus.ErrEcho, func(r, _ []byte, send func([]byte)) { send(r) }},
	{"exception 02", modbus.IllegalDataAddress, func(r, _ []byte, send func([]byte)) { send(modbustest.WithCRC([]byte{r[0], 0x83, 2})) }},
	{"exception 04", modbus.DeviceFailure, func(r, _ []byte, send func([]byte)) { send(modbustest.WithCRC([]byte{r[0], 0x83, 4})) }},
	{"gateway exception 0B", modbus.GatewayTarget, func(r, _ []byte, send func([]byte)) { send(modbustest.WithCRC([]byte{r[0], 0x83, 11})) }},
	{"echo before the answer", nil, func(r, a []byte, send func([]byte)) { send(r); send(a) }},
	{"noise before the answer", nil, func(_, a []byte, send func([]byte)) { send([]byte{0, 0xFE}); send(a) }},
	{"byte by byte", nil, func(_, a []byte, send func([]byte)) {
		for i := range a {
			send(a[i : i+1])
			time.Sleep(time.Millisecond)
		}
	}},
}

// Each way in which an answer goes wrong has its own error, and the next
// request works.
func TestEachFailureHasItsError(t *testing.T) {
	for _, tc := range failures {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{Twist: func(n int, r, a []byte, send func([]byte)) {
					if n == 0 {
						tc.twist(r, a, send)
						return
					}
					send(a)
				}}
				registers(u, 1, 20)
				m := wired(t, false, u)
				_, err := read(t, m, 1, 7)
				if !errors.Is(err, tc.want) {
					t.Errorf("%v, want %v", err, tc.want)
				}
				var e *modbus.Error
				if tc.want != nil && (!errors.As(err, &e) || e.Unit != 1 || e.Function != 3) {
					t.Errorf("%v does not name unit and function", err)
				}
				if v, err := read(t, m, 1, 9); err != nil || v != 1009 {
					t.Errorf("the next request: %d, %v", v, err)
				}
			})
		})
	}
}

// The time-out is for the beginning of an answer; a long one on a slow line
// takes its time. One that stops in the middle is not waited for for ever.
func TestSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := modbustest.Wire()
		defer far.Close()
		pace := 11 * time.Second / 1200
		stop := 1000
		u := &modbustest.Units{Twist: func(_ int, _, a []byte, send func([]byte)) {
			time.Sleep(timeout - 10*time.Millisecond)
			for i := range min(len(a), stop) {
				send(a[i : i+1])
				time.Sleep(pace)
			}
		}}
		registers(u, 1, 125)
		m := modbus.New(modbus.Options{Baud: 1200, Timeout: timeout, Recovery: recovery,
			Open: func(context.Context) (modbus.Conn, error) { return near, nil }})
		defer m.Close()
		go u.ServeRTU(far)
		into := make([]uint16, 125)
		if err := m.Read(t.Context(), 1, modbus.Holding, 0, into); err != nil || into[124] != 1124 {
			t.Errorf("%v, %v", into, err)
		}
		stop = 20
		start := time.Now()
		if err := m.Read(t.Context(), 1, modbus.Holding, 0, into); !errors.Is(err, modbus.ErrTruncated) || time.Since(start) > 5*time.Second {
			t.Errorf("cut short: %v after %v", err, time.Since(start))
		}
	})
}

// 0 is everybody's address, and those above 247 are nobody's; over TCP a unit
// may have any.
func TestUnitAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		for _, id := range []byte{0, 247, 248, 255} {
			registers(u, id, 1)
			for _, tcp := range []bool{false, true} {
				if _, err := read(t, wired(t, tcp, u), id, 0); (err == nil) != (tcp || id == 247) {
					t.Errorf("tcp=%v, unit %d: %v", tcp, id, err)
				}
			}
		}
	})
}

// The end of a context ends the wait at once, and the answer that comes then is
// believed by nobody.
func TestContextEndsTheWait(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := &modbustest.Units{Twist: func(n int, _, answer []byte, send func([]byte)) {
				time.Sleep(200 * time.Millisecond) // inside the time-out
				send(answer)
			}}
			registers(u, 1, 100)
			m := wired(t, tcp, u)
			for i := range uint16(50) {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				start := time.Now()
				err := m.Read(ctx, 1, modbus.Holding, i, make([]uint16, 1))
				if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d > 101*time.Millisecond {
					t.Errorf("tcp=%v: ended with %v after %v", tcp, err, d)
				}
				cancel()
				if v, err := read(t, m, 1, 99-i); err != nil || v != 1099-i {
					t.Errorf("tcp=%v: register %d is %d, %v", tcp, 99-i, v, err)
				}
			}
		})
	}
}

// Close ends a request that waits.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := wired(t, false, &modbustest.Units{})
		go func() {
			time.Sleep(10 * time.Millisecond)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}()
		start := time.Now()
		if _, err := read(t, m, 1, 0); err == nil || time.Since(start) > 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := read(t, m, 1, 0); !errors.Is(err, modbus.ErrClosed) {
			t.Error(err)
		}
	})
}

// A babbling line is an error, not a wait without end; when it is quiet again,
// requests work.
func TestBabblingLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := modbustest.Wire()
		u := &modbustest.Units{}
		registers(u, 1, 1)
		m := modbus.New(modbus.Options{Timeout: timeout, Recovery: recovery, Turnaround: 20 * time.Millisecond,
			Open: func(context.Context) (modbus.Conn, error) { return near, nil }})
		defer m.Close()
		stop := make(chan struct{})
		var babble sync.WaitGroup
		babble.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
					_, _ = far.Write([]byte{0x55})
				}
			}
		})
		start := time.Now()
		if _, err := read(t, m, 1, 0); !errors.Is(err, modbus.ErrGarbage) || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(stop)
		babble.Wait()
		go u.ServeRTU(far)
		if v, err := read(t, m, 1, 0); err != nil || v != 1000 {
			t.Errorf("%d, %v", v, err)
		}
		far.Close()
	})
}

// Random requests from several goroutines against units behind a wire, and
// against a map.
func TestAgainstModel(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%v", tcp), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{}
				m := wired(t, tcp, u)
				var workers sync.WaitGroup
				for id := byte(1); id <= 4; id++ {
					for table := range 4 {
						u.Set(id, table, 0, make([]uint16, 300)...)
					}
					workers.Go(func() { operate(t, m, u, id) })
				}
				workers.Wait()
			})
		})
	}
}

func operate(t *testing.T, m *modbus.Master, u *modbustest.Units, id byte) {
	rng := rand.New(rand.NewPCG(uint64(id), 7))
	var model [4][300]uint16
	for range 500 {
		table := modbus.Table(rng.IntN(4))
		address, n := rng.IntN(200), 1+rng.IntN(100)
		mask := uint16(0xFFFF)
		if table.Bits() {
			mask = 1
		}
		words := make([]uint16, n)
		for i := range words {
			words[i] = uint16(rng.Uint32()) & mask
		}
		var err error
		switch op := rng.IntN(4); {
		case op == 0:
			if err = m.Read(t.Context(), id, table, uint16(address), words); err == nil {
				for i, v := range words {
					if v != model[table][address+i] {
						t.Errorf("unit %d %v %d is %d, want %d", id, table, address+i, v, model[table][address+i])
					}
				}
			}
		case table == modbus.Discrete || table == modbus.Input: // the process changes them
			u.Set(id, int(table), uint16(address), words...)
			copy(model[table][address:], words)
		case op == 1 && table == modbus.Holding:
			and, or := words[0], uint16(rng.Uint32())
			err = m.Mask(t.Context(), id, uint16(address), and, or)
			model[table][address] = model[table][address]&and | or&^and
		default:
			if op == 2 {
				words = words[:1]
			}
			err = m.Write(t.Context(), id, table, uint16(address), words, op == 3)
			copy(model[table][address:], words)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := m.Read(t.Context(), id, modbus.Coils, 250, make([]uint16, 100)); !errors.Is(err, modbus.IllegalDataAddress) {
		t.Errorf("past the end: %v", err)
	}
}
