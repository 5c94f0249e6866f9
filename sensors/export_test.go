package sensors

import "time"

// Holds reports whether a condition holds for values that are fresh for a
// while.
func Holds(c *Condition, values map[string]any, fresh time.Duration) bool {
	b := newValueTable()
	now := time.Now()
	for ref, v := range values {
		b.set(b.place(ref), v, now.Add(fresh))
	}
	until, why := c.holds(b, now)
	if until.IsZero() == (why == "") {
		panic("it must say why not, and only then")
	}
	return !until.IsZero()
}
