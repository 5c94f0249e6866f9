package modbus_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// A unit that says each answer twice, at once or later, puts no value under a
// wrong name, from its first answer on; nor does its neighbor become slow.
func TestAnswersThatComeTwice(t *testing.T) {
	for _, later := range []time.Duration{0, time.Millisecond, 19 * time.Millisecond, 30 * time.Millisecond, 90 * time.Millisecond} {
		t.Run(later.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pending sync.WaitGroup
				u := &modbustest.Units{Twist: func(_ int, request, answer []byte, send func([]byte)) {
					send(answer)
					if request[0] == 1 {
						pending.Add(1)
						time.AfterFunc(later, func() { defer pending.Done(); send(answer) })
					}
				}}
				registers(u, 1, 100)
				registers(u, 2, 100)
				m := wired(t, false, u)
				start := time.Now()
				for n := range uint16(100) {
					for unit := range byte(2) {
						if v, err := read(t, m, unit+1, n); err != nil || v != 1000+n {
							t.Fatalf("register %d of unit %d: %d, %v", n, unit+1, v, err)
						}
					}
				}
				if took := time.Since(start); took > 100*(timeout+later+100*time.Millisecond) {
					t.Errorf("it took %v", took)
				}
				pending.Wait()
			})
		})
	}
}
