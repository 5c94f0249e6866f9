package api

import (
	"context"
	"time"
)

// Diagnosis is what 'dunlin doctor' finds.
type Diagnosis struct {
	API   string    `json:"api"` // v1
	Found []Finding `json:"found"`
}

// Finding is one thing that is wrong.
type Finding struct {
	Check string `json:"check"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"`
	Cure  string `json:"cure"`
}

// lookIn is how long the machine is looked at.
const lookIn = time.Minute

// look has the machine looked at, for one caller at a time: it writes to the
// disk, and keeps buses busy.
func (c *call) look(f func(context.Context) (any, error)) (any, error) {
	if !c.a.looking.TryLock() {
		return nil, &Problem{409, "the machine is looked at for somebody else", "ask again in a moment"}
	}
	defer c.a.looking.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, lookIn)
	defer cancel()
	return f(ctx)
}

func diagnose(c *call) (any, error) {
	return c.look(func(ctx context.Context) (any, error) { return c.a.Examine(ctx), nil })
}

func scanHardware(c *call) (any, error) {
	return c.look(func(ctx context.Context) (any, error) { return c.a.Scan(ctx, c.args["bus"], c.args["all"] == "true") })
}
