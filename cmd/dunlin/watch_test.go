package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// watch is a stream whose output a test waits for.
type watch struct {
	written chan string
	seen    string
}

func newWatch() *watch { return &watch{written: make(chan string, 4096)} }

func (w *watch) Write(p []byte) (int, error) {
	w.written <- string(p)
	return len(p), nil
}

// await blocks until text was written since the last await.
func (w *watch) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.NewTimer(toolTimeout)
	defer deadline.Stop()
	for {
		if _, after, ok := strings.Cut(w.seen, text); ok {
			w.seen = after
			return
		}
		select {
		case s := <-w.written:
			w.seen += s
		case <-deadline.C:
			t.Fatalf("no %q in %q", text, w.seen)
		}
	}
}

// newFeed is a standard input that the test writes.
func newFeed() (io.ReadCloser, func(string)) {
	r, w := io.Pipe()
	return feedReader{r, w}, func(s string) { io.WriteString(w, s) }
}

type feedReader struct {
	io.Reader
	w *io.PipeWriter
}

// Close ends the input as the end of a file does.
func (f feedReader) Close() error { return f.w.Close() }
