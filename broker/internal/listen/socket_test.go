package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// sip reads one byte at a time with a pause before each, until the connection
// ends.
func sip(nc net.Conn, pause time.Duration) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 1); ; {
			time.Sleep(pause)
			if _, err := nc.Read(b); err != nil {
				return
			}
		}
	}()
	return done
}

// A write goes on as long as the peer takes something within the time that the
// deadline gave, and ends when it takes nothing.
func TestPatientWrites(t *testing.T) {
	for _, tc := range []struct {
		name    string
		pause   time.Duration // between the client's reads of one byte
		leaving bool
		lasts   time.Duration
		written int
	}{
		{"slow", 20 * time.Second, false, 80 * time.Second, 4},
		{"stuck", 31 * time.Second, false, 30 * time.Second, 0},
		{"stuck while it is closed", 31 * time.Second, true, farewellTimeout, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				s := newSocket(server)
				if tc.leaving {
					s.hurry()
				}
				done := sip(client, tc.pause)
				start := time.Now()
				if err := s.SetWriteDeadline(start.Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, err := s.Write([]byte("ping"))
				if d := time.Since(start); d != tc.lasts || n != tc.written || (err == nil) != (n == 4) || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes after %v: %v", n, d, err)
				}
				client.Close()
				server.Close()
				<-done
			})
		})
	}
	t.Run("not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			s := newSocket(server)
			done := sip(client, 900*time.Millisecond)
			start := time.Now()
			s.SetWriteDeadline(start.Add(time.Second))
			if n, err := s.Write(make([]byte, 1000)); err == nil || time.Since(start) > maxExtensions*time.Second {
				t.Errorf("%d bytes after %v: %v", n, time.Since(start), err)
			}
			client.Close()
			server.Close()
			<-done
		})
	})
}

func TestHandshakeBudgetAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := newSocket(server)
		go func() {
			for b := make([]byte, 4096); ; {
				if _, err := client.Write(b); err != nil {
					return
				}
			}
		}()
		n, err := io.Copy(io.Discard, s)
		if n != handshakeBytes || err != errTooLong {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 2*handshakeBytes)); err != nil {
			t.Errorf("after the handshake: %v", err)
		}
		client.Close()
		server.Close()
	})
	for _, tc := range []struct {
		name               string
		caller, step, last time.Duration
	}{
		{"the step's is earlier", 10 * time.Second, 5 * time.Second, 5 * time.Second},
		{"the caller's is earlier", 3 * time.Second, 5 * time.Second, 3 * time.Second},
		{"the step's alone", 0, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				s, start := newSocket(server), time.Now()
				if tc.caller > 0 {
					s.SetReadDeadline(start.Add(tc.caller))
				}
				s.step(tc.step)
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != tc.last {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				client.Close()
				server.Close()
			})
		})
	}
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := make(chan struct{}, 1)
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		first := newSocket(server)
		if err := first.takeTurn(turns); err != nil {
			t.Fatal(err)
		}
		waiting := func(set func(*socket)) (*socket, chan error) {
			s, done := newSocket(server), make(chan error, 1)
			set(s)
			go func() { done <- s.takeTurn(turns) }()
			synctest.Wait()
			return s, done
		}
		start := time.Now()
		_, late := waiting(func(s *socket) { s.SetReadDeadline(start.Add(10 * time.Second)) })
		kicked, ended := waiting(func(*socket) {})
		kicked.SetReadDeadline(time.Unix(1, 0))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 0 {
			t.Errorf("ended by the server: %v after %v", err, time.Since(start))
		}
		if err := <-late; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("at the deadline: %v after %v", err, time.Since(start))
		}
		_, next := waiting(func(*socket) {})
		go client.Write([]byte("x"))
		first.rest = []byte("r")
		if first.Read(make([]byte, 1)); len(next) != 0 {
			t.Error("what was read ahead gives the turn away")
		}
		first.SetReadDeadline(time.Time{})
		if n, err := first.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := <-next; err != nil {
			t.Error(err)
		}
		first.pass() // its turn is not its own any more
		if len(turns) != 1 {
			t.Error("a turn was given back twice")
		}
	})
}
