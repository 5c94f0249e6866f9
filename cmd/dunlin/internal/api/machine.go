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

// scanIn is how long a scan may take.
const scanIn = time.Minute

// The machine is looked at for one caller at a time: that writes to the disk, and
// keeps buses busy.
var lookedAt = &Problem{409, "the machine is looked at for somebody else", "ask again in a moment"}

func diagnose(c *call) (any, error) {
	if !c.a.looking.TryLock() {
		return nil, lookedAt
	}
	defer c.a.looking.Unlock()
	return c.a.Examine(c.ctx), nil
}

func scanHardware(c *call) (any, error) {
	if !c.a.looking.TryLock() {
		return nil, lookedAt
	}
	defer c.a.looking.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, scanIn)
	defer cancel()
	return c.a.Scan(ctx, c.args["bus"], c.args["all"] == "true")
}
