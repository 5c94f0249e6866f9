package modbus

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// The read before a read that could be mistaken has an answer that nothing owed
// looks like: fewer entries first, then more, whole bytes of bits.
func TestDistinctRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			table   Table
			address uint16
			count   int
			owed    []int // counts
			want    int   // 0: there is none
		}{
			{Holding, 0, 3, []int{3}, 2},
			{Holding, 0, 3, []int{3, 2}, 1},
			{Holding, 0, 3, []int{3, 2, 1}, 4},
			{Input, 0, 1, []int{1}, 2},
			{Input, 65535, 1, []int{1}, 0},
			{Holding, 0, 125, []int{125}, 124},
			{Coils, 0, 20, []int{20}, 12},
			{Coils, 0, 5, []int{5}, 13},
		} {
			u := &unit{}
			for _, n := range tc.owed {
				pdu, _ := readPDU(tc.table, 7, n)
				u.owe(pdu)
			}
			pdu, _ := readPDU(tc.table, tc.address, tc.count)
			if !u.owes(pdu) {
				t.Errorf("%v: not owed", tc)
			}
			got := 0
			if probe := u.distinct(pdu); probe != nil {
				got = int(binary.BigEndian.Uint16(probe[3:]))
				if probe[0] != pdu[0] || binary.BigEndian.Uint16(probe[1:]) != tc.address {
					t.Errorf("%v: % x reads something else", tc, probe)
				}
			}
			if got != tc.want {
				t.Errorf("%v: %d entries, want %d", tc, got, tc.want)
			}
			if other, _ := readPDU(tc.table^1, tc.address, tc.count); u.owes(other) {
				t.Errorf("%v: another function is owed", tc)
			}
			time.Sleep(maxOwed)
			if u.owes(pdu) {
				t.Errorf("%v: owed for ever", tc)
			}
		}
		u := &unit{}
		u.owe(maskPDU(0, 1, 2))
		for n := range 40 {
			pdu, _ := readPDU(Holding, 0, 1+n)
			u.owe(pdu)
		}
		if len(u.debts) != remember {
			t.Errorf("%d debts are remembered", len(u.debts))
		}
	})
}
