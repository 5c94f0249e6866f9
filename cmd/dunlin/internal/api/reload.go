package api

import "time"

// Reload is what a reload has changed, or would change.
type Reload struct {
	Applied bool     `json:"applied"`
	Changes []Change `json:"changes"`
}

// Change is one setting that is different; secrets are ***.
type Change struct {
	Path   string `json:"path"`
	Old    string `json:"old,omitempty"` // empty: it was not there
	New    string `json:"new,omitempty"` // empty: it is not there any more
	Effect string `json:"effect"`        // live or needs restart
}

// Reloaded is how a reload went.
type Reloaded struct {
	At   time.Time
	OK   bool
	Good time.Time // when the last one went well; zero: none has yet
}

func reload(c *call) (any, error) { return c.a.Reload(c.args["dry_run"] == "true") }
