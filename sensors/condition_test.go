package sensors_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestConditionText(t *testing.T) {
	for text, want := range map[string]string{
		"tank.level > 10":                          "tank.level",
		"a.x>=1 and (b.y==OFF or c-d.z != -2.5e3)": "a.x b.y c-d.z",
		"((a.x<1))":                                "a.x",
		"":                                         `"" is no value`,
		"tank > 10":                                `"tank" is no value`,
		"tank.":                                    `"tank." is no value`,
		"tank.level":                               `"" after tank.level is none of`,
		"tank.level = 1":                           `"=" after tank.level is none of`,
		"tank.level => 1":                          `"=" after tank.level is none of`,
		"tank.level > full":                        `"full" after > is not a number, ON or OFF`,
		"tank.level > NaN":                         `"NaN" after > is not a number, ON or OFF`,
		"tank.level >":                             `"" after > is not a number, ON or OFF`,
		"door.open > ON":                           `> "ON": ON and OFF are compared by == and !=`,
		"(a.x > 1":                                 `")" is missing`,
		"a.x > 1)":                                 `")": "and" or "or" is missing before it`,
		"a.x > 1 b.y > 1":                          `"b.y": "and" or "or" is missing before it`,
		"a.x > 1 and":                              `"" is no value`,
		"not a.x > 1":                              `"not" is no value`,
		strings.Repeat("(", 600) + "a.x":           "a condition of 603 bytes, at most 500",
	} {
		c, err := sensors.ParseCondition(text)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(c.Refs(), " ")
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// wish is the dumb model of a condition: what it is as text, and whether it
// holds.
type wish struct {
	text  string
	holds bool
}

// conditions makes a random condition over the values of the model.
func conditions(rng *rand.Rand, values map[string]any, depth int) wish {
	if depth > 0 && rng.IntN(3) > 0 {
		a, b := conditions(rng, values, depth-1), conditions(rng, values, depth-1)
		if rng.IntN(2) == 0 {
			return wish{"(" + a.text + ") and(" + b.text + ")", a.holds && b.holds}
		}
		return wish{"(" + a.text + " ) or (" + b.text + ")", a.holds || b.holds}
	}
	names := []string{"a.number", "a.whole", "a.switch", "a.text", "a.missing"}
	name := names[rng.IntN(len(names))]
	ops := []string{"<", "<=", ">", ">=", "==", "!="}
	op := ops[rng.IntN(len(ops))]
	if rng.IntN(3) == 0 {
		op, word := ops[4+rng.IntN(2)], []string{"OFF", "ON"}[rng.IntN(2)]
		v, ok := values[name].(bool)
		return wish{name + op + word, ok && (v == (word == "ON")) == (op == "==")}
	}
	n := []string{"1", "2", "3"}[rng.IntN(3)]
	limit := float64(n[0] - '0')
	v, ok := values[name].(float64)
	if i, whole := values[name].(int64); whole {
		v, ok = float64(i), true
	}
	holds := map[string]bool{"<": v < limit, "<=": v <= limit, ">": v > limit, ">=": v >= limit, "==": v == limit, "!=": v != limit}[op]
	return wish{name + " " + op + n, ok && holds}
}

func TestConditionsAgreeWithAModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 3))
	held := 0
	for range 3000 {
		values := map[string]any{"a.number": float64(1 + rng.IntN(3)), "a.whole": int64(1 + rng.IntN(3)), "a.switch": rng.IntN(2) == 0, "a.text": "2"}
		w := conditions(rng, values, 3)
		c, err := sensors.ParseCondition(w.text)
		if err != nil {
			t.Fatalf("%s: %v", w.text, err)
		}
		if got := sensors.Holds(c, values, time.Minute); got != w.holds {
			t.Fatalf("%s with %v: %v, want %v", w.text, values, got, w.holds)
		}
		if sensors.Holds(c, values, -time.Minute) {
			t.Fatalf("%s holds with stale values", w.text)
		}
		if w.holds {
			held++
		}
	}
	if held < 300 || held > 2700 {
		t.Errorf("%d of 3000 held: the test sees only one side", held)
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{"tank.level > 10", "a.x>=1 and (b.y==OFF or c.z!=-2)", "((a.x<1)", "a.x > 1 or", "\xff.\x00 < 1e400", "a.b!==1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := sensors.ParseCondition(text)
		if err != nil {
			return
		}
		refs := c.Refs()
		if len(refs) == 0 || slices.Contains(refs, "") {
			t.Fatalf("%q looks at %q", text, refs)
		}
		if sensors.Holds(c, nil, time.Minute) {
			t.Fatalf("%q holds without any value", text)
		}
	})
}
