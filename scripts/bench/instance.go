package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/bench/load"
)

// broker is a server that can be started.
type broker struct {
	name    string
	command string
}

// instance is one running broker.
type instance struct {
	broker broker
	shop   *workshop
	data   string // its folder
	plain  string // host:port
	secure string
	// upstream is where a bridge of the broker finds its server; empty: it has
	// no bridge.
	upstream string
	cmd      *exec.Cmd
	log      bytes.Buffer  // complete once done is closed
	done     chan struct{} // closed when the process has ended
	took     time.Duration // from exec to the first CONNACK
}

// launch starts a broker and waits for its first CONNACK.
func launch(shop *workshop, b broker, upstream string) (*instance, error) {
	i := &instance{broker: b, shop: shop, upstream: upstream, done: make(chan struct{})}
	var err error
	if i.data, err = os.MkdirTemp(shop.dir, "data"); err != nil {
		return nil, err
	}
	if i.plain, i.secure, err = freeAddresses(); err != nil {
		return nil, err
	}
	i.cmd = exec.Command("bash", "-c", "ulimit -n $(ulimit -Hn); exec "+b.command)
	i.cmd.Env = append(os.Environ(), "PORT="+port(i.plain), "TLSPORT="+port(i.secure), "DATA="+i.data, "UPSTREAM="+upstream, "CERTS="+shop.dir,
		"DUNLIN="+shop.dunlin, "MOCHI="+shop.mochi, "PATH="+os.Getenv("PATH")+":/usr/sbin")
	i.cmd.Stdout, i.cmd.Stderr = &i.log, &i.log
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = i.cmd.Wait() // stop reports an end that was not asked for
		close(i.done)
	}()
	begin := i.executed()
	if err := load.Ready(load.Config{Addr: i.plain, Patience: 20 * time.Second}); err != nil {
		return nil, errors.Join(err, i.stop())
	}
	i.took = time.Since(begin)
	return i, nil
}

// executed returns when the start command has become the broker: shells on the
// way there are not the broker's time.
func (i *instance) executed() time.Time {
	exe := fmt.Sprintf("/proc/%d/exe", i.cmd.Process.Pid)
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(100 * time.Microsecond) {
		target, err := os.Readlink(exe)
		if err != nil || !slices.Contains([]string{"bash", "dash", "sh", "env", filepath.Base(os.Args[0])}, filepath.Base(target)) {
			break
		}
	}
	return time.Now()
}

func freeAddresses() (plain, secure string, err error) {
	var found [2]string
	for n := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close() // not before both are found, so that they differ
		found[n] = l.Addr().String()
	}
	return found[0], found[1], nil
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address) // comes from a listener
	return p
}

// stop ends the broker. That it had ended before is an error.
func (i *instance) stop() (err error) {
	defer os.RemoveAll(i.data)
	select {
	case <-i.done:
		return fmt.Errorf("it ended by itself: %s\n%s", i.cmd.ProcessState, i.tail())
	default:
	}
	_ = i.cmd.Process.Signal(syscall.SIGTERM) // it may end this moment
	select {
	case <-i.done:
		return nil
	case <-time.After(20 * time.Second):
	}
	_ = i.cmd.Process.Kill()
	<-i.done
	return errors.New("it did not end after SIGTERM")
}

// tail returns the last lines of a broker that has ended.
func (i *instance) tail() string {
	lines := strings.Split(strings.TrimSpace(i.log.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// measure runs a scenario against a fresh instance.
func measure(shop *workshop, b broker, s scenario, scale float64) (r load.Result, err error) {
	if s.kept {
		b.command = "env KEPT=always SYS=1s " + b.command
	}
	upstream := ""
	if s.bridged {
		if upstream, _, err = freeAddresses(); err != nil {
			return nil, err
		}
	}
	i, err := launch(shop, b, upstream)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, i.stop()) }()
	cfg := s.scaled(scale)
	cfg.Addr, cfg.PID, cfg.TLS = i.plain, i.cmd.Process.Pid, s.tls
	if s.tls {
		cfg.Addr = i.secure
	}
	if s.traced {
		return traced(i, cfg, s.do)
	}
	return s.do(i, cfg)
}

// starts measures several starts, for one alone says little.
func starts(i *instance, _ load.Config) (load.Result, error) {
	const times = 5
	took := []time.Duration{i.took}
	for len(took) < times {
		again, err := launch(i.shop, i.broker, i.upstream)
		if err != nil {
			return nil, err
		}
		took = append(took, again.took)
		if err := again.stop(); err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return load.Result{"connack_ms": float64(took[times/2]) / float64(time.Millisecond)}, nil
}

func drains(i *instance, cfg load.Config) (load.Result, error) {
	return load.Drain(cfg, i.upstream)
}

func sizes(i *instance, _ load.Config) (load.Result, error) {
	return load.Result{"armv6_mb": float64(i.shop.armv6) / 1e6}, nil
}
