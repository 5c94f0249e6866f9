package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// Response is an answer; Body ends with the answer, and fails with
// io.ErrUnexpectedEOF if the connection ends before.
type Response struct {
	Status int
	Header Header
	Body   io.Reader
}

// Do sends one request over nc, which serves for nothing else, and returns the
// answer once its head is there. The caller closes nc, and bounds the time:
// when ctx ends, nc is closed.
func Do(ctx context.Context, nc net.Conn, method, target, host string, fields Header, body []byte) (*Response, error) {
	context.AfterFunc(ctx, func() { nc.Close() })
	head := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, f := range fields {
		head += f.Name + ": " + f.Value + "\r\n"
	}
	if body != nil || method == "POST" {
		head += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	if _, err := nc.Write([]byte(head + "\r\n" + string(body))); err != nil {
		return nil, err
	}
	return readResponse(bufio.NewReader(nc), method)
}

var errNotHTTP = errors.New("not an HTTP/1.1 answer")

func readResponse(in *bufio.Reader, method string) (*Response, error) {
	r, version := &Response{Status: 100}, ""
	for r.Status/100 == 1 { // 100 Continue and its like are no answers
		line, err := readLine(in)
		if err != nil {
			return nil, err
		}
		var rest string
		version, rest, _ = strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		status, err := strconv.ParseUint(code, 10, 16)
		if err != nil || len(code) != 3 || !strings.HasPrefix(version, "HTTP/1.") {
			return nil, errNotHTTP
		}
		r.Status = int(status)
		if r.Header, err = readFields(in); err != nil {
			return nil, err
		}
	}
	r.Body = in
	length := r.Header.Get("content-length")
	switch {
	case version == "HTTP/1.0" && r.Header.Get("transfer-encoding") != "":
		return nil, errNotHTTP // of which nobody knows where it ends (RFC 9112 6.1)
	case method == "HEAD" || r.Status == 204 || r.Status == 304:
		r.Body = strings.NewReader("")
	case r.Header.Get("transfer-encoding") == "chunked":
		r.Body = &dechunker{in: in}
	case length != "":
		n, err := strconv.ParseInt(length, 10, 63)
		if err != nil || n < 0 {
			return nil, errNotHTTP
		}
		r.Body = &exactly{in, n}
	}
	return r, nil
}

func readFields(in *bufio.Reader) (h Header, err error) {
	for range maxFields {
		line, err := readLine(in)
		if line == "" || err != nil {
			return h, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errNotHTTP
		}
		h = append(h, Field{strings.ToLower(name), strings.Trim(value, " \t")})
	}
	return nil, errNotHTTP
}

// readLine reads one line without its end; lines are at most as long as the
// reader's buffer.
func readLine(in *bufio.Reader) (string, error) {
	b, err := in.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(string(b), "\r\n"), err
}

// exactly reads n bytes, not fewer.
type exactly struct {
	in   io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.in.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// dechunker takes chunks apart (RFC 9112, 7.1).
type dechunker struct {
	in   *bufio.Reader
	left int64 // of this chunk
	over bool
}

func (d *dechunker) Read(p []byte) (int, error) {
	if d.left == 0 && !d.over {
		line, err := readLine(d.in)
		if err != nil {
			return 0, err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 62)
		if err != nil {
			return 0, errNotHTTP
		}
		if d.left, d.over = int64(n), n == 0; d.over {
			if _, err := readFields(d.in); err != nil { // trailers
				return 0, err
			}
		}
	}
	if d.over {
		return 0, io.EOF
	}
	n, err := d.in.Read(p[:min(int64(len(p)), d.left)])
	if d.left -= int64(n); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if d.left == 0 && err == nil {
		if line, e := readLine(d.in); e != nil || line != "" {
			err = errNotHTTP
		}
	}
	return n, err
}
