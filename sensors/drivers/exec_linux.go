package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

const (
	// killAfter is how long a program may take to end when it is asked to.
	killAfter = 700 * time.Millisecond
	maxLast   = 200 // bytes kept of standard error
	// A program that prints without end waits: outputRate bytes a second are taken
	// of each of its outputs, one second's at once, in pieces of outputPiece.
	outputRate  = 16 << 10
	outputPiece = 2 << 10
)

// child is a program as a port: what it prints is read, what it is told is
// written. Its goroutine empties standard error; Close waits for it.
type child struct {
	pid          int
	process      *os.Process
	in, out, err *os.File
	drained      chan struct{}
	last         string         // what it wrote last on standard error; read after drained
	output       paced          // of whoever reads
	trace        sensors.Tracer // nil: nobody wants to know
}

func startChild(command []string, trace sensors.Tracer) (serial.Port, error) {
	var ends [6]*os.File
	var err error
	for i := 0; i < 6 && err == nil; i += 2 {
		ends[i], ends[i+1], err = os.Pipe()
	}
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	if err != nil {
		closeAll(ends[:]...)
		return nil, err
	}
	for _, f := range []*os.File{ends[3], ends[5]} {
		// What waits in the pipe is late: the least is a page.
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, 4096)
	}
	// Not this program's environment: it may hold secrets.
	env := []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ")}
	process, err := os.StartProcess(command[0], command, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{ends[0], ends[3], ends[5]},
		// A program that neither reads nor writes would outlive this one. The signal
		// comes when the thread ends that started it: Go's end with their process.
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	closeAll(ends[0], ends[3], ends[5])
	if err != nil {
		closeAll(ends[1], ends[2], ends[4])
		return nil, err
	}
	c := &child{pid: process.Pid, in: ends[1], out: ends[2], err: ends[4], drained: make(chan struct{}), process: process, trace: trace}
	go c.drain()
	return c, nil
}

// told tells of one of the program's streams.
func (c *child) told(stream string, sent, received []byte) {
	if c.trace != nil && len(sent)+len(received) > 0 {
		c.trace(stream, sent, received, nil)
	}
}

// drain keeps the last line of standard error.
func (c *child) drain() {
	defer close(c.drained)
	b := make([]byte, outputPiece)
	var tail []byte
	var output paced
	for {
		output.wait()
		n, err := c.err.Read(b)
		output.took(n)
		c.told("stderr", nil, b[:n])
		tail = append(tail, b[:n]...)
		tail = tail[max(0, len(tail)-maxLast):]
		if err != nil {
			break
		}
	}
	tail = bytes.TrimSpace(tail)
	c.last = strings.ToValidUTF8(string(tail[bytes.LastIndexByte(tail, '\n')+1:]), "?")
}

// paced bounds what is taken of an output.
type paced struct{ paid time.Time } // until then

// wait sleeps, for no longer than a piece takes.
func (p *paced) wait() { time.Sleep(time.Until(p.paid)) }

func (p *paced) took(n int) {
	if now := time.Now().Add(-time.Second); p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(time.Duration(n) * time.Second / outputRate)
}

// ended reports whether the program has, though what it started may live on,
// and how: its exit code or the signal.
func (c *child) ended() (how string, done bool) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	if err != nil || info.Signo == 0 {
		return "", false
	}
	// Who has not been waited for still has its status in /proc: field 52 of
	// proc_pid_stat(5), of which the third comes after the name.
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid)) // without it the status is not known
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 50 {
		return "", true
	}
	status, err := strconv.Atoi(fields[49])
	switch w := syscall.WaitStatus(status); {
	case err != nil:
		return "", true
	case w.Signaled():
		return fmt.Sprintf("killed by signal %d", w.Signal()), true
	default:
		return fmt.Sprintf("exit code %d", w.ExitStatus()), true
	}
}

// fate is the fault of a program whose pipe is closed, which the kernel does a
// moment before the program has ended. It waits for that until late.
func (c *child) fate(late time.Time, last string) error {
	for ; ; time.Sleep(time.Millisecond) {
		switch how, done := c.ended(); {
		case done:
			return exited(how, last)
		case time.Now().After(late):
			return &sensors.Fault{Reason: sensors.Exited, Err: errors.New("the program runs on, but has closed its input or output")}
		}
	}
}

// Read implements serial.Port.
func (c *child) Read(b []byte) (int, error) {
	c.output.wait()
	n, err := c.out.Read(b[:min(len(b), outputPiece)])
	c.output.took(n)
	c.told("stdout", nil, b[:n])
	if err == io.EOF {
		late := time.Now().Add(killAfter)
		_ = c.err.SetReadDeadline(late) // a grandchild may hold it open
		<-c.drained
		err = c.fate(late, c.last)
	}
	return n, err
}

// Write implements serial.Port.
func (c *child) Write(b []byte) (int, error) {
	n, err := c.in.Write(b)
	c.told("stdin", b[:n], nil)
	if errors.Is(err, syscall.EPIPE) {
		err = c.fate(time.Now().Add(killAfter), "")
	}
	return n, err
}

// SetReadDeadline implements serial.Port.
func (c *child) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline implements serial.Port.
func (c *child) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// Close implements serial.Port: the program and all it started are asked to
// end, and killed after killAfter. Until Wait the group's number is nobody
// else's, because its leader is still to be waited for.
func (c *child) Close() error {
	_ = c.in.Close()
	_ = c.out.Close()                                                // ends a Read
	signal := func(s syscall.Signal) { _ = syscall.Kill(-c.pid, s) } // who is gone already needs none
	signal(syscall.SIGTERM)
	late := time.AfterFunc(killAfter, func() { signal(syscall.SIGKILL) })
	for unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == syscall.EINTR {
	}
	late.Stop()
	signal(syscall.SIGKILL) // what the program left behind
	_, err := c.process.Wait()
	// As the first process of a container we inherit the rest of the group.
	for left := error(nil); left == nil || left == syscall.EINTR; {
		_, left = syscall.Wait4(-c.pid, nil, 0, nil)
	}
	_ = c.err.SetReadDeadline(time.Unix(1, 0))
	<-c.drained
	return errors.Join(err, c.err.Close())
}
