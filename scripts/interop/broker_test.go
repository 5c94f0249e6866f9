package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the broker or a message.
const patience = 10 * time.Second

// program is the path of the dunlin under test and folder that of certificates;
// TestMain writes them once.
var program, folder string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer stopDrivers()
	program, folder = filepath.Join(dir, "dunlin"), dir
	if err := writeCertificates(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	args := []string{"build", "-C", "../..", "-o", program}
	if os.Getenv("RACE") == "1" { // dunlin then ends with exit code 66 after a race, and stop wants 0
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./cmd/dunlin")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// broker is one running dunlin.
type broker struct {
	addr [transports]string
	cmd  *exec.Cmd
	log  bytes.Buffer  // complete once done is closed
	done chan struct{} // closed when the process has ended
	err  error         // of Wait; set before done is closed
	told bool          // SIGTERM was sent; a second one would end it at once
}

// start runs a broker that ends with the test, by SIGTERM and with exit code 0.
func start(t *testing.T) *broker {
	t.Helper()
	return startWith(t, "")
}

// startWith does so with a users file; without one, everybody is let in.
func startWith(t *testing.T, users string) *broker {
	t.Helper()
	const attempts = 3 // the port was free, but somebody may be faster
	for range attempts {
		if b := tryStart(t, users); b != nil {
			t.Cleanup(func() { b.stop(t) })
			return b
		}
	}
	t.Fatalf("dunlin did not start in %d attempts", attempts)
	return nil
}

func tryStart(t *testing.T, users string) *broker {
	t.Helper()
	b := &broker{done: make(chan struct{})}
	b.addr = freeAddresses(t)
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	if err := os.WriteFile(file, []byte(b.config(users)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cmd = exec.Command(program, "run", "-c", file)
	b.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Dir(file))
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	if b.ready(t) {
		return b
	}
	t.Logf("dunlin ended: %v\n%s", b.err, &b.log)
	return nil
}

func freeAddresses(t *testing.T) (free [transports]string) {
	t.Helper()
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before all are found, so that they differ
		free[i] = l.Addr().String()
	}
	return free
}

// ready waits until the broker accepts connections everywhere; false when it
// ended.
func (b *broker) ready(t *testing.T) bool {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for _, addr := range b.addr {
		for !answers(addr) {
			select {
			case <-again.C:
			case <-b.done:
				return false
			case <-deadline:
				b.kill()
				t.Fatalf("dunlin does not listen on %s\n%s", addr, &b.log)
			}
		}
	}
	return true
}

func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (b *broker) kill() {
	_ = b.cmd.Process.Kill() // an error means that it has ended
	<-b.done
}

// terminate asks the broker to end, as a service manager does.
func (b *broker) terminate(t *testing.T) {
	t.Helper()
	if b.told {
		return
	}
	b.told = true
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

func (b *broker) stop(t *testing.T) {
	t.Helper()
	b.terminate(t)
	select {
	case <-b.done:
		if b.err != nil {
			t.Errorf("dunlin ended: %v", b.err)
		}
	case <-time.After(patience):
		b.kill()
		t.Error("dunlin did not end after SIGTERM")
	}
	if bytes.Contains(b.log.Bytes(), []byte("DATA RACE")) {
		t.Error("the race detector found something")
	}
	if t.Failed() {
		t.Logf("dunlin wrote:\n%s", &b.log)
	}
}

// socket is a connection whose Close returns when the broker has read all that
// was sent, so that a DISCONNECT is not overtaken by what another connection
// sends next.
type socket struct{ *net.TCPConn }

// Close ends sending and waits until the broker closes its side.
func (s socket) Close() error {
	err := s.CloseWrite()
	if err == nil {
		err = s.SetReadDeadline(time.Now().Add(patience))
	}
	if err == nil {
		_, err = io.Copy(io.Discard, s.TCPConn)
	}
	return errors.Join(err, s.TCPConn.Close())
}
