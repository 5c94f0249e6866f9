package sensors

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Condition is a parsed interlock, as "tank.level > 10 and (door.contact == OFF
// or key.contact == ON)": comparisons of entities' newest values with numbers,
// ON or OFF; "and" binds tighter than "or". A comparison with a value that is
// stale, bad or missing, or of another kind, does not hold: there is no "not"
// that could turn that into a permission.
type Condition struct {
	text string
	root *term
}

// term is a comparison, or two terms joined by "and" or "or".
type term struct {
	ref, op     string // op of two terms is "and" or "or"
	number      float64
	on, boolean bool // the literal is ON or OFF
	left, right *term
}

// maxCondition bounds a condition, and by it the depth of its parentheses.
const maxCondition = 500 // bytes

// ParseCondition reads a condition. The error says what is wrong where.
func ParseCondition(text string) (*Condition, error) {
	if len(text) > maxCondition {
		return nil, fmt.Errorf("a condition of %d bytes, at most %d", len(text), maxCondition)
	}
	p := &conditionParser{rest: text}
	p.next()
	root, err := p.either()
	if err == nil && p.token != "" {
		err = fmt.Errorf("%q: \"and\" or \"or\" is missing before it", p.token)
	}
	if err != nil {
		return nil, err
	}
	return &Condition{text, root}, nil
}

// String returns the condition as it was written.
func (c *Condition) String() string { return c.text }

// Refs returns the values that the condition looks at, as "tank.level".
func (c *Condition) Refs() []string { return c.root.refs(nil) }

func (t *term) refs(list []string) []string {
	if t.left == nil {
		return append(list, t.ref)
	}
	return t.right.refs(t.left.refs(list))
}

// Possible reports whether the condition could hold if comparisons with some
// values could: can is asked about each, with whether it holds for something
// that is off.
func (c *Condition) Possible(can func(ref string, off bool) bool) bool { return c.root.possible(can) }

func (t *term) possible(can func(ref string, off bool) bool) bool {
	switch t.op {
	case "and":
		return t.left.possible(can) && t.right.possible(can)
	case "or":
		return t.left.possible(can) || t.right.possible(can)
	}
	off := any(0.0)
	if t.boolean {
		off = false
	}
	return can(t.ref, t.accepts(off))
}

// accepts reports whether the comparison holds for a value.
func (t *term) accepts(value any) bool {
	var order int
	v, boolean := value.(bool)
	n, err := number(Sample{Value: value})
	switch {
	case boolean != t.boolean || !boolean && err != nil:
		return false
	case !boolean:
		order = cmp.Compare(n, t.number)
	case v != t.on:
		order = 1
	}
	switch t.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "==":
		return order == 0
	}
	return order != 0
}

// holds returns until when the condition holds, unless a value changes; zero:
// it does not hold, and why says what is in the way.
func (c *Condition) holds(b *valueTable, now time.Time) (until time.Time, why string) {
	return c.root.holds(b, now)
}

func (t *term) holds(b *valueTable, now time.Time) (time.Time, string) {
	if t.left == nil {
		value, until := b.value(t.ref)
		switch {
		case value == nil:
			return time.Time{}, t.ref + " has no value"
		case !now.Before(until):
			return time.Time{}, t.ref + " is stale"
		case !t.accepts(value):
			return time.Time{}, t.ref + " is " + plain(value)
		}
		return until, ""
	}
	left, why := t.left.holds(b, now)
	right, also := t.right.holds(b, now)
	switch {
	case t.op == "and" && (left.IsZero() || right.IsZero()):
		return time.Time{}, cmp.Or(why, also)
	case t.op == "or" && left.IsZero() && right.IsZero():
		return time.Time{}, why + ", " + also
	case (t.op == "or") == left.After(right):
		return left, ""
	}
	return right, ""
}

// conditionParser holds the token that comes next; "" is the end.
type conditionParser struct{ rest, token string }

func (p *conditionParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t")
	n := strings.IndexAny(p.rest, " \t()<>=!")
	switch {
	case n < 0:
		n = len(p.rest)
	case n == 0 && strings.HasPrefix(p.rest[1:], "=") && p.rest[0] != '(' && p.rest[0] != ')':
		n = 2
	case n == 0:
		n = 1
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
}

// either is one or more terms joined by "or".
func (p *conditionParser) either() (*term, error) { return p.joined("or", p.all) }

// all is one or more terms joined by "and".
func (p *conditionParser) all() (*term, error) { return p.joined("and", p.single) }

func (p *conditionParser) joined(word string, part func() (*term, error)) (*term, error) {
	left, err := part()
	for err == nil && p.token == word {
		p.next()
		t := &term{op: word, left: left}
		t.right, err = part()
		left = t
	}
	return left, err
}

// single is a comparison, or a condition in parentheses.
func (p *conditionParser) single() (*term, error) {
	if p.token == "(" {
		p.next()
		t, err := p.either()
		if err == nil && p.token != ")" {
			err = fmt.Errorf("\")\" is missing")
		}
		p.next()
		return t, err
	}
	t := &term{ref: p.token}
	if device, entity, ok := strings.Cut(t.ref, "."); !ok || device == "" || entity == "" {
		return nil, fmt.Errorf("%q is no value: write DEVICE.ENTITY, as tank.level > 10", t.ref)
	}
	p.next()
	switch t.op = p.token; t.op {
	case "<", "<=", ">", ">=", "==", "!=":
	default:
		return nil, fmt.Errorf("%q after %s is none of < <= > >= == !=", t.op, t.ref)
	}
	p.next()
	t.boolean, t.on = p.token == "ON" || p.token == "OFF", p.token == "ON"
	if !t.boolean {
		var err error
		if t.number, err = finite(p.token); err != nil {
			return nil, fmt.Errorf("%q after %s is not a number, ON or OFF", p.token, t.op)
		}
	} else if t.op != "==" && t.op != "!=" {
		return nil, fmt.Errorf("%s %s: ON and OFF are compared by == and !=", t.op, strconv.Quote(p.token))
	}
	p.next()
	return t, nil
}
