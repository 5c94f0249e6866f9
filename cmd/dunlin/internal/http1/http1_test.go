package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// echo answers with what it was asked; /stream in chunks, /panic not at all.
func echo(ctx context.Context, w *Writer, r *Request) {
	switch r.Path {
	case "/panic":
		panic("a test")
	case "/nothing":
		return
	case "/stream":
		out := w.Stream("text/plain")
		for i := range 3 {
			fmt.Fprintf(out, "part %d\n", i)
		}
		return
	case "/torn":
		io.WriteString(w.Stream("text/plain"), "half")
		w.Abort()
		return
	case "/wait":
		<-ctx.Done()
		return
	}
	w.Set("X-Test", "1")
	w.Reply(200, "text/plain", fmt.Appendf(nil, "%s %s %s %s %s %s", r.Method, r.Host, r.Path, r.Query, r.Header.Get("x-in"), r.Body))
}

// start serves echo on a TCP socket until the test ends.
func start(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if s.Handler == nil {
		s.Handler = echo
	}
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestServerAnswersNetHTTP(t *testing.T) {
	addr := start(t, &Server{})
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/a/b?c=d&e", "", 200, "GET " + addr + " /a/b c=d&e yes "},
		{"POST", "/p", "hello", 200, "POST " + addr + " /p  yes hello"},
		{"PUT", "/p%2Fq", strings.Repeat("x", 70_000), 200, "PUT " + addr + " /p%2Fq  yes " + strings.Repeat("x", 70_000)},
		{"HEAD", "/p", "", 200, ""},
		{"GET", "/stream", "", 200, "part 0\npart 1\npart 2\n"},
		{"HEAD", "/stream", "", 200, ""},
		{"GET", "/nothing", "", 204, ""},
		{"GET", "/panic", "", 500, "this is a mistake in dunlin\n"},
		{"GET", "/", "", 200, "GET " + addr + " /  yes "},
	} {
		req, err := http.NewRequest(tc.method, "http://"+addr+tc.target, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-In", "yes")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", tc.method, tc.target, err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != tc.status || string(body) != tc.want {
			t.Errorf("%s %s: %d %q, %v; want %d %q", tc.method, tc.target, answer.StatusCode, body, err, tc.status, tc.want)
		}
	}
	if answer, err := http.Get("http://" + addr + "/torn"); err != nil {
		t.Error(err)
	} else if _, err := io.ReadAll(answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that was broken off reads as a whole one: %v", err)
	}
}

func TestRequestsOneAfterTheOther(t *testing.T) {
	addr := start(t, &Server{})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	// Three requests in one segment, the second with a body, the last closes.
	io.WriteString(nc, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\n")
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GET h /1   ", "POST h /2   abc", "GET h /3   "} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("no answer %q in %q", want, all)
		}
	}
	if bytes.Contains(all, []byte("/4")) {
		t.Errorf("a request after the last was answered: %q", all)
	}
}

func TestRefused(t *testing.T) {
	addr := start(t, &Server{Body: 100})
	for name, tc := range map[string]struct {
		text   string
		status string
	}{
		"RFC9112-3 no request line":            {"hello\r\n\r\n", "400"},
		"RFC9112-2.3 another version":          {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
		"RFC9112-3.2 no Host":                  {"GET / HTTP/1.1\r\n\r\n", "400"},
		"RFC9112-3.2 Host twice":               {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		"RFC9112-5.1 space before the colon":   {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
		"RFC9112-5.2 a folded line":            {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "400"},
		"RFC9112-2.2 a bare line feed":         {"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", "400"},
		"RFC9112-6.3 Content-Length twice":     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400"},
		"RFC9112-6.3 Content-Length -1":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"},
		"RFC9112-6.3 Content-Length +1":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"},
		"RFC9112-6.1 a body in chunks":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411"},
		"RFC9110-15.5.14 a body too large":     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "413"},
		"RFC6585-5 a head too large":           {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n", "431"},
		"RFC6585-5 too many fields":            {"GET / HTTP/1.1\r\n" + strings.Repeat("X: 1\r\n", maxFields+1) + "\r\n", "431"},
		"the absolute form is for proxies":     {"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		"RFC9112-3.2 a Host that is a path":    {"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", "400"},
		"RFC9112-3 a space in the target":      {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		"RFC9110-5.5 a zero byte in the field": {"GET / HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(time.Minute))
			io.WriteString(nc, tc.text)
			all, err := io.ReadAll(nc)
			if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 "+tc.status+" ") || strings.Count(string(all), "\r\n\r\n") != 1 {
				t.Errorf("answer %q, %v; want %s and the end", all, err, tc.status)
			}
		})
	}
}

func TestClientReadsNetHTTP(t *testing.T) {
	large := strings.Repeat("0123456789", 20_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunks":
			for part := range strings.SplitSeq(large, "5") {
				io.WriteString(w, part+"5")
				w.(http.Flusher).Flush()
			}
		case "/torn":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		case "/none":
			w.WriteHeader(204)
		default:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Out", r.Header.Get("X-In"))
			w.WriteHeader(201)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		}
	}))
	defer srv.Close()
	do := func(method, target string, body []byte) (int, string, string, error) {
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := Do(ctx, nc, method, target, "dunlin", Header{{"X-In", "yes"}}, body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		b, err := io.ReadAll(r.Body)
		return r.Status, r.Header.Get("x-out"), string(b), err
	}
	for _, tc := range []struct {
		method, target, body string
		status               int
		out, want            string
		err                  error
	}{
		{"GET", "/x?y=z", "", 201, "yes", "GET /x?y=z ", nil},
		{"POST", "/x", "abc", 201, "yes", "POST /x abc", nil},
		{"GET", "/chunks", "", 200, "", large + "5", nil},
		{"GET", "/torn", "", 200, "", "half", io.ErrUnexpectedEOF},
		{"GET", "/none", "", 204, "", "", nil},
		{"HEAD", "/x", "", 201, "yes", "", nil},
	} {
		status, out, body, err := do(tc.method, tc.target, []byte(tc.body))
		if status != tc.status || out != tc.out || body != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s %s: %d %q %.40q %v; want %d %q %.40q %v", tc.method, tc.target, status, out, body, err, tc.status, tc.out, tc.want, tc.err)
		}
	}
}

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	nc, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// inBubble serves echo in a bubble of synthetic time; dial makes a connection.
func inBubble(t *testing.T, s *Server, f func(dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		ln := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		s.Handler = echo
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, ln) }()
		f(func() net.Conn {
			a, b := net.Pipe()
			ln <- a
			return b
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// endsAfter reads until the end and returns how long that took.
func endsAfter(nc net.Conn) time.Duration {
	from := time.Now()
	io.Copy(io.Discard, nc)
	return time.Since(from)
}

func TestPatience(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		after time.Duration
	}{
		"silence":                             {"", time.Minute},
		"half a head":                         {"GET / HT", 10 * time.Second},
		"half a body":                         {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", 10 * time.Second},
		"silence after a request":             {"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", time.Minute},
		"half of the next, sent with the one": {"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\nGET", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &Server{}, func(dial func() net.Conn) {
				nc := dial()
				go io.WriteString(nc, tc.text)
				if took := endsAfter(nc); took != tc.after {
					t.Errorf("the connection ended after %v, want %v", took, tc.after)
				}
			})
		})
	}
	t.Run("a head byte by byte", func(t *testing.T) {
		inBubble(t, &Server{}, func(dial func() net.Conn) {
			nc := dial()
			var writer sync.WaitGroup
			defer writer.Wait()
			writer.Go(func() {
				for {
					if _, err := io.WriteString(nc, "x"); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			if took := endsAfter(nc); took > 11*time.Second {
				t.Errorf("a client that never ends its head was kept for %v", took)
			}
		})
	})
	t.Run("a client that does not read", func(t *testing.T) {
		inBubble(t, &Server{}, func(dial func() net.Conn) {
			nc := dial()
			io.WriteString(nc, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
			time.Sleep(11 * time.Second)
			synctest.Wait()
			if _, err := nc.Write([]byte("x")); err == nil {
				t.Error("the connection is still there")
			}
		})
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	closed := 0
	inBubble(t, &Server{Connections: 2, Full: func() { closed++ }}, func(dial func() net.Conn) {
		for range 2 { // both are being served
			io.WriteString(dial(), "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		}
		synctest.Wait()
		if took := endsAfter(dial()); took != 0 {
			t.Errorf("the third connection ended after %v, want at once", took)
		}
		if closed != 1 {
			t.Errorf("%d connections counted, want 1", closed)
		}
	})
}

// Those who do nothing, or do not take their answers, do not take all places.
func TestWhoKeepsUsWaitingMakesRoom(t *testing.T) {
	for name, text := range map[string]string{
		"silence":                    "",
		"half a head":                "GET / HT",
		"half a body":                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
		"silence after a request":    "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
		"an answer that is not read": "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &Server{Connections: 2}, func(dial func() net.Conn) {
				var all [2]net.Conn
				for i := range all {
					all[i] = dial()
					io.WriteString(all[i], text)
					time.Sleep(time.Millisecond)
				}
				c := dial()
				go io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
				if got, _ := io.ReadAll(c); !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
					t.Errorf("who came later got %q", got)
				}
				for i, nc := range all {
					nc.SetReadDeadline(time.Now().Add(time.Millisecond))
					if _, err := io.Copy(io.Discard, nc); (err == nil) != (i == 0) {
						t.Errorf("connection %d: %v", i, err)
					}
				}
			})
		})
	}
}

// What asks for another protocol can be taken over, with every byte of it.
func TestUpgrade(t *testing.T) {
	taken := make(chan net.Conn, 1)
	var all string
	s := &Server{Upgrade: func(r *Request, read []byte) bool {
		if r.Path != "/take" {
			return false
		}
		all = string(read)
		taken <- r.Conn
		return true
	}}
	inBubble(t, s, func(dial func() net.Conn) {
		other := dial()
		go io.WriteString(other, "GET /leave HTTP/1.0\r\nUpgrade: x\r\n\r\n")
		if got, _ := io.ReadAll(other); !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
			t.Errorf("a request that is not taken over: %q", got)
		}
		nc := dial()
		const sent = "GET /take HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\nand more"
		go io.WriteString(nc, sent)
		mine := <-taken
		if all != sent {
			t.Errorf("%q was handed over", all)
		}
		time.Sleep(time.Hour) // the Server's patience is over
		go io.WriteString(mine, "hello")
		var b [5]byte
		if _, err := io.ReadFull(nc, b[:]); err != nil || string(b[:]) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
		mine.Close()
	})
}

func TestStopEndsHandlers(t *testing.T) {
	inBubble(t, &Server{}, func(dial func() net.Conn) {
		io.WriteString(dial(), "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
	}) // a Handler that was not waited for would be a goroutine left in the bubble
}

// FuzzRequest: what we accept, net/http accepts and understands alike.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a", "POST /a?b HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\nConnection: close, x",
		"GET /%41 HTTP/1.0", "DELETE /x/y HTTP/1.1\r\nHost:\t[::1]:80 \r\nX-Y: \xff z\r\nExpect: 100-continue",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", "GET // HTTP/1.1\r\nhost: a\r\nA:",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if endOfHead(append(head[:len(head):len(head)], "\r\n\r\n"...)) != len(head) {
			return // would have been cut before
		}
		r, wrong := parse(head)
		if wrong != nil {
			return
		}
		text := string(head) + "\r\n\r\n" + strings.Repeat("x", min(r.length, 1<<10))
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			if _, unescape := http.NewRequest("GET", "http://h"+r.Path+"?"+r.Query, nil); unescape != nil || strings.Contains(err.Error(), "Host") || strings.Contains(err.Error(), "invalid URI") {
				return // the path is taken apart by our router, which refuses it
			}
			t.Fatalf("net/http refuses what we accept: %v\n%q", err, head)
		}
		if theirs.Method != r.Method || theirs.ContentLength != int64(r.length) {
			t.Fatalf("%s with %d bytes, net/http: %s with %d\n%q", r.Method, r.length, theirs.Method, theirs.ContentLength, head)
		}
		if theirs.Close && !r.close {
			t.Fatalf("net/http would close\n%q", head)
		}
		if want := theirs.RequestURI; want != r.Path && want != r.Path+"?"+r.Query {
			t.Fatalf("%s?%s, net/http: %s", r.Path, r.Query, want)
		}
		for _, f := range r.Header {
			if f.Name != "host" && !strings.Contains(strings.Join(theirs.Header.Values(f.Name), "\x00"), f.Value) && theirs.Header.Get(f.Name) != "" {
				t.Fatalf("%s: %q, net/http: %q", f.Name, f.Value, theirs.Header.Values(f.Name))
			}
		}
	})
}

// FuzzResponse: whatever a server says, the client ends, and agrees with
// net/http on what both take for an answer.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.0 404 N\r\n\r\nall of it",
		"HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\nabc", // which has no body
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, err := readResponse(bufio.NewReader(bytes.NewReader(text)), "GET")
		if err != nil {
			return
		}
		body, err := io.ReadAll(io.LimitReader(ours.Body, 1<<20))
		if err != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), &http.Request{Method: "GET"})
		if err != nil || theirs.StatusCode != ours.Status {
			return // net/http is stricter, and does not skip 1xx here
		}
		theirBody, err := io.ReadAll(theirs.Body)
		if err == nil && !bytes.Equal(body, theirBody) {
			t.Fatalf("body %q, net/http: %q\n%q", body, theirBody, text)
		}
	})
}

// An answer that is large for a slow client is sent as long as pieces of it
// are taken.
func TestSlowClientHasTheWholeAnswer(t *testing.T) {
	inBubble(t, &Server{}, func(dial func() net.Conn) {
		nc := dial()
		go fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n%s", strings.Repeat("x", 60_000))
		got := 0
		for buf := make([]byte, 1<<10); ; time.Sleep(time.Second) {
			n, err := nc.Read(buf)
			if got += n; err != nil {
				break
			}
		}
		if got < 60_000 {
			t.Errorf("a client that takes 1 kB a second has %d bytes of 60,000", got)
		}
	})
}

// Events without a reader end: the connection is not kept for ever.
func TestHeadOfEvents(t *testing.T) {
	addr := start(t, &Server{Handler: func(ctx context.Context, w *Writer, r *Request) {
		if r.Path == "/" {
			w.Reply(200, "text/plain", nil)
			return
		}
		for out := w.Stream("text/event-stream"); ctx.Err() == nil; {
			if _, err := io.WriteString(out, "data: x\n\n"); err != nil {
				return
			}
		}
	}})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(nc, "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answers, err := io.ReadAll(nc)
	if strings.Count(string(answers), "HTTP/1.1 200 OK") != 2 || err != nil {
		t.Errorf("%q, %v", answers, err)
	}
}

// What a reader of events does not take is not queued before it.
func TestEventsDoNotQueue(t *testing.T) {
	const event = 16 << 10
	sent := make(chan int, 1)
	addr := start(t, &Server{Patience: time.Second, Handler: func(ctx context.Context, w *Writer, r *Request) {
		out, n := w.Stream("text/event-stream"), 0
		for ; ; n += event {
			if _, err := out.Write(make([]byte, event)); err != nil {
				sent <- n
				return
			}
		}
	}})
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	nc, err := small.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n := <-sent; n > 128<<10 {
		t.Errorf("%d bytes wait for who reads nothing", n)
	}
}
