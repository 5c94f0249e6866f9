package bridgetest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
)

// startTimeout is how long a server may take to listen, or to stop.
const startTimeout = time.Minute

// Server is one mosquitto, or NATS server. Its methods fail the test they were made for.
type Server struct {
	t      testing.TB
	binary string
	config string
	port   int
	output lockedBuffer
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has been waited for
}

// Mosquitto starts a mosquitto with persistence and anonymous access; extra
// are further lines for its configuration. The end of the test stops it. Where
// the program is not installed the test is skipped, and fails if CI=true.
func Mosquitto(t testing.TB, extra ...string) *Server {
	t.Helper()
	binary, err := find()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mosquitto is needed here: %v", err)
		}
		t.Skipf("mosquitto is not installed: %v", err)
	}
	s := &Server{t: t, binary: binary, port: freeport.Port(t)}
	s.configure(t.TempDir(), extra)
	t.Cleanup(func() {
		s.end(syscall.SIGTERM)
		if t.Failed() {
			said := s.output.String()
			t.Logf("%s said, at the end:\n%s", filepath.Base(s.binary), said[max(0, len(said)-4000):])
		}
	})
	s.Start()
	return s
}

func find() (string, error) {
	if p, err := exec.LookPath("mosquitto"); err == nil {
		return p, nil
	}
	return exec.LookPath("/usr/sbin/mosquitto") // not in everybody's PATH
}

func (s *Server) configure(dir string, extra []string) {
	s.t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "listener %d 127.0.0.1\nallow_anonymous true\n", s.port)
	fmt.Fprintf(&b, "persistence true\npersistence_location %s/\nautosave_interval 1\n", dir)
	fmt.Fprintf(&b, "max_queued_messages 0\nlog_dest stdout\nlog_type all\n")
	if u, err := user.Current(); err == nil {
		fmt.Fprintf(&b, "user %s\n", u.Username) // else root becomes "mosquitto", who cannot write dir
	}
	for _, line := range extra {
		fmt.Fprintln(&b, line)
	}
	s.config = filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(s.config, b.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Port is the loopback port; it stays the same over restarts.
func (s *Server) Port() int { return s.port }

// Addr is 127.0.0.1:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is mqtt://127.0.0.1:port.
func (s *Server) URL() string { return "mqtt://" + s.Addr() }

// Output is what the server has logged so far, every packet included.
func (s *Server) Output() string { return s.output.String() }

// Start starts the server and waits until it accepts connections.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command(s.binary, "-c", s.config)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", s.binary, err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = s.cmd.Wait() // killed processes return an error
	}()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if c, err := net.Dial("tcp", s.Addr()); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-poll.C:
		case <-ended:
			s.t.Fatalf("it ended at once:\n%s", s.output.String())
		case <-deadline.C:
			s.t.Fatalf("it does not listen on %s after %v:\n%s", s.Addr(), startTimeout, s.output.String())
		}
	}
}

// Stop ends the server in order (SIGTERM); mosquitto saves its database then.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.end(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the server at once (SIGKILL); what its last autosave did not hold
// is lost.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.end(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// Restart stops and starts it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Save makes mosquitto write its database, so that a Kill loses nothing up to
// now, and waits until it has.
func (s *Server) Save() {
	s.t.Helper()
	const line = "Saving in-memory database"
	before := strings.Count(s.output.String(), line)
	s.signal(syscall.SIGUSR1)
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	// A second save begins only after the first was written.
	for strings.Count(s.output.String(), line) < before+2 {
		select {
		case <-poll.C:
			s.signal(syscall.SIGUSR1)
		case <-deadline.C:
			s.t.Fatalf("mosquitto did not save within %v", startTimeout)
		}
	}
}

// Freeze stops the process without ending it: connections stay open and
// nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %s: %v", s.binary, err)
	}
}

func (s *Server) end(sig syscall.Signal) error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.binary, err)
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT) // a frozen one could not end
	limit := time.NewTimer(startTimeout)
	defer limit.Stop()
	select {
	case <-s.ended:
	case <-limit.C:
		_ = s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("%s did not end within %v", s.binary, startTimeout)
	}
	s.cmd = nil
	return nil
}

// lockedBuffer collects output that is read while it grows.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
