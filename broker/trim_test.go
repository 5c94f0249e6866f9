package broker

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryGoesBackOnceAfterManyHaveComeOrGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l trim
		var order []string
		count := func(n int) {
			l.count(n, func() { order = append(order, "shrink") }, func() { order = append(order, "emptied") })
		}
		settle := func(when string, want ...string) {
			t.Helper()
			time.Sleep(2 * trimPause)
			synctest.Wait()
			if !slices.Equal(order, want) {
				t.Errorf("%s: %v, not %v", when, order, want)
			}
			order = nil
		}
		for n := 1; n < manyMoved; n++ {
			count(n)
		}
		settle("after few")
		for n := manyMoved - 1; n > 0; n-- {
			count(n)
		}
		settle("after few that left")
		for n := 1; n < 3*manyMoved; n++ {
			count(n)
			if n == 2*manyMoved {
				time.Sleep(trimPause / 2)
			}
		}
		settle("after many, in two waves", "shrink")
		for n := 3 * manyMoved; n > manyMoved/2; n-- {
			count(n)
			if n == manyMoved {
				time.Sleep(trimPause / 2)
			}
		}
		settle("after many left, in two waves", "shrink", "emptied")
		l.count(10*manyMoved, func() {}, nil)
		l.count(manyMoved, func() {}, nil) // nobody wants to know
		l.stop()
	})
}
