package http1

import (
	"io"
	"strconv"
	"time"
)

// Writer answers one request: with Reply, or with Stream.
type Writer struct {
	c        *conn
	r        *Request
	fields   string
	answered bool
	stream   bool
	events   bool
	failed   bool
}

// Set adds a header field to the answer.
func (w *Writer) Set(name, value string) {
	w.fields += name + ": " + value + "\r\n"
}

// Reply answers with a whole body; an empty contentType leaves the field out.
// It waits until the client took it, for each piece of it at most for the
// Server's patience.
func (w *Writer) Reply(status int, contentType string, body []byte) {
	if w.answered {
		return
	}
	if status != 204 {
		w.Set("Content-Length", strconv.Itoa(len(body)))
	}
	head := w.head(status, contentType)
	if w.r.Method == "HEAD" || status == 204 {
		body = nil
	}
	w.write(append([]byte(head), body...))
}

// head is the status line and the fields of the answer.
func (w *Writer) head(status int, contentType string) string {
	w.answered = true
	if contentType != "" {
		w.Set("Content-Type", contentType)
	}
	if w.r.close {
		w.Set("Connection", "close")
	}
	return "HTTP/1.1 " + strconv.Itoa(status) + " " + reason(status) + "\r\n" + w.fields + "\r\n"
}

// Stream answers 200 with a body of unknown length; each Write is sent at
// once. An error of Write means that the client has gone; Abort ends the
// answer so that the client notices.
func (w *Writer) Stream(contentType string) io.Writer {
	if w.r.old {
		w.r.close = true // the end of the connection is the end of the body
	} else {
		w.Set("Transfer-Encoding", "chunked")
	}
	w.Set("Cache-Control", "no-store")
	w.stream, w.events = true, contentType == eventStream
	if small, ok := w.c.nc.(interface{ SetWriteBuffer(int) error }); ok && w.events {
		small.SetWriteBuffer(unread) // what the kernel queues for a slow reader is old when it comes
	}
	w.write([]byte(w.head(200, contentType)))
	return chunks{w}
}

// Abort breaks the connection off: the client must not take what it has for
// the whole answer.
func (w *Writer) Abort() { w.failed = true }

const (
	eventStream = "text/event-stream"
	unread      = 16 << 10 // bytes of events that the kernel holds
	piece       = 8 << 10  // bytes that a client takes within the Server's patience
)

type chunks struct{ w *Writer }

func (c chunks) Write(p []byte) (int, error) {
	w := c.w
	if w.events && w.r.Method == "HEAD" {
		return 0, io.ErrClosedPipe // what has no end would never notice that nobody reads
	}
	if len(p) == 0 || w.r.Method == "HEAD" {
		return len(p), nil
	}
	whole := len(p)
	if !w.r.old {
		p = []byte(strconv.FormatInt(int64(len(p)), 16) + "\r\n" + string(p) + "\r\n")
	}
	return whole, w.write(p)
}

func (w *Writer) write(b []byte) (err error) {
	w.c.wait(true)
	for len(b) > 0 && err == nil {
		w.c.nc.SetWriteDeadline(time.Now().Add(w.c.s.patience()))
		var n int
		n, err = w.c.nc.Write(b[:min(len(b), piece)])
		b = b[n:]
	}
	w.c.wait(false)
	if err != nil {
		w.failed = true
	}
	return err
}

// finish completes the answer and reports whether the connection may go on.
func (w *Writer) finish() bool {
	if !w.answered && !w.failed {
		w.Reply(204, "", nil)
	}
	if w.stream && !w.failed && !w.r.old && w.r.Method != "HEAD" {
		w.write([]byte("0\r\n\r\n"))
	}
	return !w.failed && !w.r.close
}

// reason is the reason phrase of a status code. Nobody needs it but people who
// look at the bytes.
func reason(status int) string {
	switch status {
	case 200:
		return "OK"
	case 204:
		return "No Content"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 429:
		return "Too Many Requests"
	case 503:
		return "Service Unavailable"
	}
	if status >= 500 {
		return "Server Error"
	}
	return "Error"
}
