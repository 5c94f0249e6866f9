package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// configuration gives so much room that nothing may ever be dropped.
const configuration = `
node: soak
data_dir: %q
mqtt:
  listeners: [{bind: %q, anonymous: true}]
  limits:
    connections: 5000
    queue_messages: 1000000
    queue_size: 512MiB
    retained_size: 64MiB
    session_expiry_max: never
    connect_rate: 0/s
  sys_interval: 1s
log: {level: warn, format: text}
`

// server is the process under test.
type server struct {
	cmd     *exec.Cmd
	address string
	log     bytes.Buffer
	sys     *wire

	mu     sync.Mutex
	values map[string]string // of $SYS, by topic
}

// startServer runs the program with the devices given.
func startServer(binary, dir, devices string) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // finds a port that is free
	if err != nil {
		return nil, err
	}
	s := &server{address: ln.Addr().String(), values: make(map[string]string)}
	ln.Close()
	file := filepath.Join(dir, "soak.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration+"%s", filepath.Join(dir, "data"), s.address, devices), 0o600); err != nil {
		return nil, err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(binary, "run", "-c", file)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.sys, err = dial(s.address, mqtt.V5); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the server does not listen: %w", err), s.stop())
		}
	}
	return s, s.watch()
}

// watch keeps the values of $SYS.
func (s *server) watch() error {
	connect := &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("sys")}}
	subscribe := &packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("$SYS/#")}}}
	if err := errors.Join(s.sys.send(connect), s.sys.send(subscribe)); err != nil {
		return err
	}
	go s.sys.read(func(v *packet.View) error { // ends with the server
		if v.Type == packet.PUBLISH {
			s.mu.Lock()
			s.values[string(v.Publish.Topic)] = string(v.Publish.Payload)
			s.mu.Unlock()
		}
		return nil
	})
	return nil
}

// value is a number below $SYS; -1 when it is not there.
func (s *server) value(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(s.values["$SYS/"+topic])
	if err != nil {
		return -1
	}
	return n
}

// sample is what the process holds.
type sample struct {
	goroutines, sessions, descriptors, threads int
	resident                                   int // kB
}

// sample is the least of several looks: devices that are polled make goroutines
// and descriptors that live for a moment.
func (s *server) sample() (least sample, err error) {
	for look := range looks {
		time.Sleep(looksTake / looks)
		now, err := s.look()
		if err != nil {
			return sample{}, err
		}
		if look == 0 {
			least = now
		}
		least.goroutines, least.descriptors = min(least.goroutines, now.goroutines), min(least.descriptors, now.descriptors)
		least.sessions, least.threads, least.resident = now.sessions, now.threads, min(least.resident, now.resident)
	}
	return least, nil
}

const looks, looksTake = 4, 2 * time.Second // two rounds of $SYS

func (s *server) look() (sample, error) {
	proc := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return sample{}, err
	}
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return sample{}, err
	}
	now := sample{goroutines: s.value("dunlin/goroutines"), sessions: s.value("dunlin/sessions"), descriptors: len(fds)}
	if now.goroutines < 0 || now.sessions < 0 {
		return sample{}, errors.New("$SYS does not say how many goroutines and sessions there are")
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "VmRSS:":
			now.resident, err = strconv.Atoi(fields[1])
		case "Threads:":
			now.threads, err = strconv.Atoi(fields[1])
		}
		if err != nil {
			return sample{}, err
		}
	}
	return now, nil
}

func (p sample) String() string {
	return fmt.Sprintf("%d sessions, %d goroutines, %d descriptors, %d threads, %d kB resident", p.sessions, p.goroutines, p.descriptors, p.threads, p.resident)
}

// stop ends the server, which must end cleanly.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
	defer timer.Stop()
	return s.cmd.Wait()
}
