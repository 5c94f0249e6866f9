package cloudtest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
)

// The environment of a child process.
const (
	childJournal = "CLOUDTEST_JOURNAL"
	childAddress = "CLOUDTEST_ADDRESS"
)

// Child serves as the child process of a Process and does not return, if this
// program was started as one. Call it first in TestMain.
func Child() {
	path := os.Getenv(childJournal)
	if path == "" {
		return
	}
	if err := child(path, os.Getenv(childAddress)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(path, address string) error {
	c, err := New(Options{Journal: path})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	c.Serve(ln)
	return nil
}

// Process is a Cloud in a process of its own, to be killed. The program must
// call Child first.
type Process struct {
	t       testing.TB
	Address string // host:port on loopback, the same after Start
	Journal string
	cmd     *exec.Cmd
}

// NewProcess starts one with a new journal; the end of the test kills it.
func NewProcess(t testing.TB) *Process {
	t.Helper()
	p := &Process{t: t, Address: freeport.Address(t), Journal: t.TempDir() + "/journal"}
	t.Cleanup(p.Kill)
	p.Start()
	return p
}

// Start begins, or begins again after Kill, and waits until it listens.
func (p *Process) Start() {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childJournal+"="+p.Journal, childAddress+"="+p.Address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = cmd
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // empty: it has ended
		ready <- line
	}()
	select {
	case line := <-ready:
		if strings.TrimSpace(line) != "ready" {
			p.t.Fatalf("cloudtest: the child says %q", line)
		}
	case <-time.After(time.Minute):
		p.t.Fatal("cloudtest: the child does not listen")
	}
}

// Kill ends it with SIGKILL and waits.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it says that it was killed
	p.cmd = nil
}

// Messages returns what it has taken.
func (p *Process) Messages() []Message {
	p.t.Helper()
	m, err := readJournal(p.Journal)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}
