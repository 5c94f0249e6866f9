package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// remote is a program in another language that drives its clients by command:
// driver.py and driver.js. One of each serves all tests.
//
// A command is a line of JSON with a number; its answer repeats the number and
// has error when it went wrong. Commands name the connection they are about:
//
//	connect      client version url id keep expiry will silent user password ca cert key -> present id
//	publish      client topic payload qos retain properties   answered when acknowledged
//	stream       client topic count qos                       the numbers from 0, answered when all are acknowledged
//	subscribe    client filter qos noLocal retainAsPublished retainHandling subscriptionIdentifier -> granted
//	unsubscribe  client filter
//	disconnect   client
//	cut          client                                       without DISCONNECT
//
// Events come at any time: message (topic payload qos retain dup properties)
// and end (reason). Payloads and Correlation Data are Base64.
type remote struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu struct {
		sync.Mutex
		number  int
		waiting map[int]chan reply
		peers   map[string]*peer
		dead    error // the program has ended
	}
}

// reply is any line that a driver writes.
type reply struct {
	Answer int
	Error  string

	Present bool
	ID      string
	Granted byte

	Event, Client string
	remoteMessage
	Reason byte
}

type remoteMessage struct {
	Topic      string            `json:"topic"`
	Payload    []byte            `json:"payload"`
	QoS        byte              `json:"qos"`
	Retain     bool              `json:"retain"`
	Dup        bool              `json:"dup,omitempty"`
	Properties *remoteProperties `json:"properties,omitempty"`
}

type remoteProperties struct {
	PayloadFormat           *byte       `json:"payloadFormat,omitempty"`
	MessageExpiry           *uint32     `json:"messageExpiry,omitempty"`
	ContentType             string      `json:"contentType,omitempty"`
	ResponseTopic           string      `json:"responseTopic,omitempty"`
	CorrelationData         []byte      `json:"correlationData,omitempty"`
	User                    [][2]string `json:"user,omitempty"`
	SubscriptionIdentifiers []int       `json:"subscriptionIdentifiers,omitempty"`
}

func toRemote(p *paho.PublishProperties) *remoteProperties {
	if p == nil {
		return nil
	}
	r := &remoteProperties{PayloadFormat: p.PayloadFormat, MessageExpiry: p.MessageExpiry,
		ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData}
	for _, u := range p.User {
		r.User = append(r.User, [2]string{u.Key, u.Value})
	}
	return r
}

func (r *remoteProperties) local() *paho.PublishProperties {
	if r == nil {
		return nil
	}
	p := &paho.PublishProperties{PayloadFormat: r.PayloadFormat, MessageExpiry: r.MessageExpiry,
		ContentType: r.ContentType, ResponseTopic: r.ResponseTopic, CorrelationData: r.CorrelationData}
	for _, u := range r.User {
		p.User = append(p.User, paho.UserProperty{Key: u[0], Value: u[1]})
	}
	if len(r.SubscriptionIdentifiers) > 0 {
		p.SubscriptionIdentifier = &r.SubscriptionIdentifiers[0]
	}
	return p
}

// The drivers start with the first test that needs them and end with the last.
var (
	python = driver("/usr/bin/python3", "pahopython/driver.py")
	node   = driver("node", "mqttjs/driver.js")

	driversMu sync.Mutex
	drivers   []*remote // that were started
)

func driver(program string, args ...string) func() (*remote, error) {
	return sync.OnceValues(func() (*remote, error) {
		r := &remote{cmd: exec.Command(program, args...)}
		r.mu.waiting, r.mu.peers = map[int]chan reply{}, map[string]*peer{}
		r.cmd.Stderr = os.Stderr
		var err error
		if r.in, err = r.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		out, err := r.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := r.cmd.Start(); err != nil {
			return nil, err
		}
		driversMu.Lock()
		defer driversMu.Unlock()
		drivers = append(drivers, r)
		go r.listen(out) // ends with the program, which stopDrivers waits for
		return r, nil
	})
}

// stopDrivers ends what was started.
func stopDrivers() {
	driversMu.Lock()
	defer driversMu.Unlock()
	for _, r := range drivers {
		r.in.Close()
		kill := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() }) // an error means that it has ended
		_ = r.cmd.Wait()                                                      // the tests are over: how it ends does not matter
		kill.Stop()
	}
}

func (r *remote) listen(out io.Reader) {
	lines := json.NewDecoder(out)
	for {
		var line reply
		if err := lines.Decode(&line); err != nil {
			r.fail(fmt.Errorf("%s: %w", r.cmd.Args[1], err))
			return
		}
		r.handle(line)
	}
}

func (r *remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.dead = err
	for _, c := range r.mu.waiting {
		c <- reply{Error: err.Error()}
	}
	clear(r.mu.waiting)
}

func (r *remote) handle(line reply) {
	r.mu.Lock()
	p, answer := r.mu.peers[line.Client], r.mu.waiting[line.Answer]
	delete(r.mu.waiting, line.Answer)
	r.mu.Unlock()
	switch {
	case answer != nil:
		answer <- line
	case p == nil:
	case line.Event == "message":
		p.inbox <- message{topic: line.Topic, payload: string(line.Payload), qos: line.QoS, retain: line.Retain, dup: line.Dup, properties: line.Properties.local()}
	case line.Event == "end":
		select {
		case p.ended <- line.Reason:
		default: // told before
		}
	}
}

// call sends a command and waits for its answer.
func (r *remote) call(command map[string]any) (reply, error) {
	answer := make(chan reply, 1)
	if err := r.send(command, answer); err != nil {
		return reply{}, err
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-time.After(2 * patience): // the driver's own patience ends first
		return reply{}, fmt.Errorf("%s does not answer", r.cmd.Args[1])
	}
}

func (r *remote) send(command map[string]any, answer chan reply) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.dead != nil {
		return r.mu.dead
	}
	r.mu.number++
	command["number"] = r.mu.number
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	r.mu.waiting[r.mu.number] = answer
	_, err = r.in.Write(append(line, '\n'))
	return err
}

func (r *remote) register(name string, p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.peers[name] = p
}
