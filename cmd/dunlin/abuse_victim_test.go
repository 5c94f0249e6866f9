//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// open lets everybody in, and nothing but the attack's own limits in the way.
const open = `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}], limits: {connect_rate: 0/s}, sys_interval: 0s}
http: {bind: ""}
`

// victim is one running dunlin of a test.
type victim struct {
	t         *testing.T
	dir       string // where its configuration lies
	process   *os.Process
	addresses []string // of its listeners
	budget    int64    // bytes of RSS that it may reach
	calm      func()   // ends the healthy client
	baseFDs   int

	log struct {
		sync.Mutex
		text strings.Builder
	}
	ended chan struct{} // closed when the process is gone
	state *os.ProcessState
}

// victimOptions change how a victim is started.
type victimOptions struct {
	config  string
	files   map[string]string // beside the configuration, mode 0600
	budget  int64             // bytes; default 40 MiB
	probe   string            // words of the healthy client's CONNECT
	noProbe bool
	shell   string   // run before it: "ulimit -n 64"
	env     []string // added to the environment
	self    bool     // run the test binary itself, with its race detector
	dir     string   // of an earlier victim, for a restart
}

// attackOn starts dunlin, and a healthy client that must not notice the
// attack. At the end of the test the program must not have panicked, must have
// kept its memory and given back its descriptors, and must stop in order.
func attackOn(t *testing.T, o victimOptions) *victim {
	t.Helper()
	s := startVictim(t, o)
	if o.noProbe {
		s.open().Close() // what the first connection makes stays
		time.Sleep(50 * time.Millisecond)
	} else {
		s.probe(o.probe)
	}
	s.baseFDs = s.fds()
	return s
}

func attackOpen(t *testing.T) *victim {
	t.Helper()
	return attackOn(t, victimOptions{config: open})
}

// realProgram builds dunlin, once, and returns its path.
var realProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs, "dunlin")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// programCommand is the real program, or the test binary acting as it.
func programCommand(t *testing.T, o victimOptions, args ...string) *exec.Cmd {
	t.Helper()
	program := realProgram
	if o.self {
		program = os.Executable
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	if o.shell != "" {
		cmd = exec.Command("sh", append([]string{"-c", o.shell + `; exec "$0" "$@"`, path}, args...)...)
	}
	cmd.Env = append(os.Environ(), o.env...)
	if o.self {
		cmd.Env = append(cmd.Env, "DUNLIN_AS_PROGRAM=1")
	}
	return cmd
}

// layOut writes the configuration and its files into a folder.
func layOut(t *testing.T, o *victimOptions) (file string) {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	for name, text := range o.files {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := o.config
	if !strings.Contains(text, "\nlog:") {
		text += "\nlog: {format: json, level: debug}\n"
	}
	if !strings.Contains(text, "data_dir:") {
		text += fmt.Sprintf("\ndata_dir: %q\n", filepath.Join(o.dir, "data"))
	}
	file = filepath.Join(o.dir, "dunlin.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startVictim(t *testing.T, o victimOptions) *victim {
	t.Helper()
	file := layOut(t, &o)
	cmd := programCommand(t, o, "run", "-c", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &victim{t: t, dir: o.dir, process: cmd.Process, budget: o.budget, calm: func() {}, ended: make(chan struct{})}
	if s.budget == 0 {
		s.budget = 40 << 20
	}
	listening := make(chan string, 16)
	go func() {
		defer close(s.ended)
		s.readLog(stderr, listening)
		cmd.Wait() // the state says how it went
		s.state = cmd.ProcessState
	}()
	t.Cleanup(s.finish)
	for range strings.Count(o.config, "bind:") - strings.Count(o.config, "http: {bind:") {
		select {
		case a := <-listening:
			s.addresses = append(s.addresses, a)
		case <-s.ended:
			t.Fatalf("dunlin ended at start: %v\n%s", s.state, s.tail())
		case <-time.After(time.Minute):
			t.Fatalf("dunlin does not listen\n%s", s.tail())
		}
	}
	return s
}

func (s *victim) readLog(r io.Reader, listening chan<- string) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		s.log.Lock()
		s.log.text.WriteString(line)
		s.log.Unlock()
		var entry struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			listening <- entry.Address
		}
		if err != nil {
			return
		}
	}
}

// logged is what the program has said so far.
func (s *victim) logged() string {
	s.log.Lock()
	defer s.log.Unlock()
	return s.log.text.String()
}

func (s *victim) tail() string {
	text := s.logged()
	return text[max(0, len(text)-4000):]
}

// says waits until the log has a text.
func (s *victim) says(text string) {
	s.t.Helper()
	eventually(s.t, time.Minute, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(s.logged(), text) })
}

// eventually polls a condition of another process.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}

// status reads a size of /proc/PID/status, in bytes.
func (s *victim) status(key string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	s.t.Fatalf("no %s in /proc", key)
	return 0
}

// fds is how many descriptors it has, but for those that it opens for itself
// some time after the start: the files of the store, and what each listener
// keeps in reserve.
func (s *victim) fds() (n int) {
	dir := fmt.Sprintf("/proc/%d/fd", s.process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if file, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && file != os.DevNull && !strings.HasPrefix(file, s.dir) {
			n++
		}
	}
	return n
}

// stop asks the program to end and waits for it.
func (s *victim) stop() *os.ProcessState {
	s.t.Helper()
	s.calm()
	s.process.Signal(syscall.SIGTERM) // gone already is fine
	return s.wait()
}

// wait waits for the end of a program that was asked to end.
func (s *victim) wait() *os.ProcessState {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.process.Kill()
		<-s.ended
		s.t.Errorf("dunlin does not stop\n%s", s.tail())
	}
	return s.state
}

// finish holds what must be true after every attack.
func (s *victim) finish() {
	select {
	case <-s.ended:
	default:
		if peak := s.status("VmHWM"); peak > s.budget {
			s.t.Errorf("RSS reached %.1f MiB, more than %d MiB", float64(peak)/(1<<20), s.budget>>20)
		}
		if s.baseFDs > 0 && !s.t.Failed() {
			const own = 4 // what the program opens for itself with its first client: two instances of epoll, an eventfd, a timerfd
			eventually(s.t, 30*time.Second, "descriptors given back", func() bool { return s.fds() <= s.baseFDs+own })
		}
	}
	if state := s.stop(); state.ExitCode() != exitDone && state.ExitCode() != exitConfig {
		s.t.Errorf("dunlin ended with %v", state)
	}
	if text := s.logged(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		s.t.Errorf("dunlin panicked:\n%s", s.tail())
	}
	if s.t.Failed() {
		s.t.Logf("the end of its log:\n%s", s.tail())
	}
}

// probe runs a healthy client: of what it publishes, 99 of 100 must come back
// to it within a second, and everything within five. Where other tests use the
// machine as well, nine of ten must.
func (s *victim) probe(words string) {
	s.t.Helper()
	c := s.dial(mqtt.V5)
	c.patient = time.Duration(scale(30, 5)) * time.Second
	c.connect("cid=healthy " + words)
	c.send("SUBSCRIBE id=1 f=healthy/#@0")
	c.expect("SUBACK id=1 ...")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		slow, worst := 0, time.Duration(0)
		for n := 0; ; n++ {
			if slow > scale(5, 1)+n/scale(10, 100) {
				s.t.Errorf("the healthy client waited for more than a second %d times of %d, the longest %s", slow, n, worst)
				return
			}
			select {
			case <-stop:
				return
			case <-s.ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			begin := time.Now()
			c.send(fmt.Sprintf("PUBLISH topic=healthy/probe payload=%d", n))
			got := c.receive()
			took := time.Since(begin)
			if !strings.HasPrefix(got, fmt.Sprintf("PUBLISH topic=healthy/probe payload=%d ", n)) {
				s.t.Errorf("the healthy client got %q after %s", got, took)
				return
			}
			if worst = max(worst, took); took > time.Second {
				slow++
			}
		}
	}()
	s.calm = sync.OnceFunc(func() { close(stop); <-done })
	s.t.Cleanup(s.calm)
}

// dial opens a connection to the first listener.
func (s *victim) dial(v mqtt.Version) *attacker {
	s.t.Helper()
	return newAttacker(s.t, s.open(), v)
}

// open opens a TCP connection that the end of the test closes.
func (s *victim) open() net.Conn {
	s.t.Helper()
	nc, err := net.DialTimeout("tcp", s.addresses[0], 30*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}
