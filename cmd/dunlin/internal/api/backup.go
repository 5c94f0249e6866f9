package api

import "io"

// backup streams what is kept, for 'dunlin restore'.
func backup(c *call) (any, error) {
	out := &late{c: c}
	err := c.a.Broker.Backup(out)
	if err == nil || out.w == nil {
		return nil, err
	}
	c.a.Log.Error("a backup was not completed", "user", c.User, "err", err)
	c.w.Abort()
	return nil, nil
}

// late begins the answer with its first byte: until then an error can be told.
type late struct {
	c *call
	w io.Writer
}

func (l *late) Write(p []byte) (int, error) {
	if l.w == nil {
		l.c.done = true
		l.w = l.c.w.Stream("application/octet-stream")
	}
	return l.w.Write(p)
}
