package broker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryGoesBackOnceAfterManyHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l leavers
		var order []string
		leave := func(from, to int) {
			for n := from; n >= to; n-- {
				l.left(n, func() { order = append(order, "shrink") }, func() { order = append(order, "emptied") })
			}
		}
		leave(manyLeft-1, 0)
		time.Sleep(2 * leaversPause)
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("after few: %v", order)
		}
		leave(manyLeft*2, manyLeft)
		time.Sleep(leaversPause / 2)
		leave(manyLeft-1, manyLeft/2)
		time.Sleep(2 * leaversPause)
		synctest.Wait()
		if len(order) != 2 || order[0] != "shrink" || order[1] != "emptied" {
			t.Errorf("after many, in two waves: %v", order)
		}
		l.left(manyLeft/4, func() {}, nil) // nobody wants to know
		l.stop()
	})
}
