package http1

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
)

const (
	maxHead   = 8 << 10 // bytes of a request line and its fields
	maxFields = 64
)

// Field is one header field; the name is in lower case.
type Field struct{ Name, Value string }

// Header is the fields of a message, in their order.
type Header []Field

// Get returns the value of the first field of that name, given in lower case;
// "" if there is none.
func (h Header) Get(name string) string {
	for _, f := range h {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Request is one request with its body.
type Request struct {
	Method string
	Path   string // percent-encoded, starts with /
	Query  string // percent-encoded, without the question mark
	Host   string
	Header Header
	Body   []byte
	Conn   net.Conn // for the addresses of both sides
	// Rest is the body of a request that Server.Stream wants so: it is read as it
	// comes, each Read in the Server's patience, and Body is empty.
	Rest io.Reader

	length int  // of the body, in bytes
	old    bool // HTTP/1.0
	close  bool // the connection ends with this request
}

// refusal is why a request cannot be served.
type refusal struct {
	status int
	why    string
}

func bad(why string) *refusal { return &refusal{400, why} }

// parse reads a request line and its fields, without the empty line that ends
// them (RFC 9112, 2 to 6).
func parse(head []byte) (*Request, *refusal) {
	lines := strings.Split(string(head), "\r\n")
	r := new(Request)
	method, rest, _ := strings.Cut(lines[0], " ")
	target, version, _ := strings.Cut(rest, " ")
	if !isToken(method) || !strings.HasPrefix(version, "HTTP/") {
		return nil, bad("not an HTTP request")
	}
	switch version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.old, r.close = true, true
	default:
		return nil, &refusal{505, "only HTTP/1.1 is spoken here"}
	}
	if !strings.HasPrefix(target, "/") || !isVisible(target) {
		return nil, bad("the target is not a path")
	}
	r.Method = method
	r.Path, r.Query, _ = strings.Cut(target, "?")
	if len(lines) > maxFields {
		return nil, &refusal{431, "too many header fields"}
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isText(value) {
			return nil, bad("a header field that is none")
		}
		r.Header = append(r.Header, Field{strings.ToLower(name), value})
	}
	return r, r.understand()
}

// understand takes from the fields what decides where the message ends and
// what becomes of the connection.
func (r *Request) understand() *refusal {
	seen := 0
	for _, f := range r.Header {
		switch f.Name {
		case "host":
			if seen++; seen > 1 {
				return bad("Host twice")
			}
			r.Host = f.Value
		case "content-length":
			n, err := strconv.ParseUint(f.Value, 10, 31)
			if err != nil || r.Header.count(f.Name) > 1 {
				return bad("a Content-Length that is none")
			}
			r.length = int(n)
		case "transfer-encoding":
			return &refusal{411, "bodies need a Content-Length"}
		case "connection":
			for _, word := range strings.Split(f.Value, ",") {
				r.close = r.close || strings.EqualFold(strings.Trim(word, " \t"), "close")
			}
		}
	}
	if seen == 0 && !r.old || strings.ContainsAny(r.Host, "/?#@\\ \t,\"") {
		return bad("no usable Host")
	}
	return nil
}

func (h Header) count(name string) (n int) {
	for _, f := range h {
		if f.Name == name {
			n++
		}
	}
	return n
}

func isToken(s string) bool {
	return s != "" && isVisible(s) && !strings.ContainsAny(s, "\"(),/:;<=>?@[\\]{}")
}

// isVisible reports whether s is printable ASCII without spaces.
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// isText reports whether s may be the value of a field.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// endOfHead returns where the head in b ends and the rest begins; -1 when b
// holds no whole head.
func endOfHead(b []byte) int { return bytes.Index(b, []byte("\r\n\r\n")) }
