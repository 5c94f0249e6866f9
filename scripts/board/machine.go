package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// machine is an emulated board that runs.
type machine struct {
	dir     string
	cmd     *exec.Cmd
	console net.Conn
	qmp     *dialogue
	mu      sync.Mutex
	log     strings.Builder // what the console said
	answers chan string     // of the guest
}

// boot starts QEMU with a console, a monitor and what else the board is given.
// It must end with the test: Kill, and a signal at the parent's death.
func boot(dir string, args ...string) (*machine, error) {
	m := &machine{dir: dir, answers: make(chan string, 16)}
	serials := []string{"-chardev", "socket,id=console,server=on,wait=off,path=" + m.path("console")}
	args = append(append(serials, args...), "-nodefaults", "-display", "none", "-no-reboot", "-qmp", "unix:"+m.path("qmp")+",server=on,wait=off")
	m.cmd = exec.Command("qemu-system-arm", args...)
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	var err error
	if m.console, err = dial(m.path("console")); err == nil {
		var c net.Conn
		if c, err = dial(m.path("qmp")); err == nil {
			m.qmp = newDialogue(c)
			_, err = m.qmp.read() // the greeting
		}
	}
	if err == nil {
		err = m.ask("qmp_capabilities", nil)
	}
	if err != nil {
		m.Kill()
		return nil, err
	}
	go m.listen()
	return m, nil
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// dial waits up to ten seconds for a socket.
func dial(path string) (c net.Conn, err error) {
	for range 200 {
		if c, err = net.Dial("unix", path); err == nil {
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

func (m *machine) listen() {
	for lines := bufio.NewScanner(m.console); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), "\r")
		m.mu.Lock()
		m.log.WriteString(line + "\n")
		m.mu.Unlock()
		if answer, ok := strings.CutPrefix(line, "guest: "); ok && (answer == "ok" || strings.HasPrefix(answer, "error")) {
			select {
			case m.answers <- answer:
			default:
			}
		}
	}
}

// said is what the console has said so far.
func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

// guest has the board's first process do something.
func (m *machine) guest(command string) error {
	for len(m.answers) > 0 {
		<-m.answers
	}
	if _, err := fmt.Fprintln(m.console, command); err != nil {
		return err
	}
	select {
	case answer := <-m.answers:
		if answer != "ok" {
			return fmt.Errorf("%s: %s", command, answer)
		}
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%s: no answer", command)
	}
}

// Kill is a power cut.
func (m *machine) Kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// set writes a property of QEMU's model of a device.
func (m *machine) set(path, property string, value any) error {
	return m.ask("qom-set", map[string]any{"path": path, "property": property, "value": value})
}

// ask has QEMU's monitor carry out a command.
func (m *machine) ask(command string, arguments map[string]any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := m.qmp.write(string(b)); err != nil {
		return err
	}
	for {
		line, err := m.qmp.read()
		if err != nil {
			return err
		}
		var reply struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := json.Unmarshal([]byte(line), &reply); err != nil {
			return err
		}
		if reply.Error != nil {
			return errors.New(command + ": " + reply.Error.Desc)
		}
		if reply.Return != nil {
			return nil
		}
	}
}

// dialogue is a socket on which lines go back and forth, ten seconds each.
type dialogue struct {
	c net.Conn
	r *bufio.Reader
}

func newDialogue(c net.Conn) *dialogue { return &dialogue{c, bufio.NewReader(c)} }

func (d *dialogue) read() (string, error) {
	d.c.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := d.r.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (d *dialogue) write(line string) error {
	_, err := fmt.Fprintln(d.c, line)
	return err
}
