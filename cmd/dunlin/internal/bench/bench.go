package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// MinSize is the smallest payload: when, by whom, as which message.
const MinSize = 16

// MaxClients bounds what Run remembers, a window for each pair, to 16 MB.
const MaxClients = 1000

const (
	// settleIn is how long nothing may arrive before the rest counts as lost,
	// settleMax is when it does in any case.
	settleIn  = 2 * time.Second
	settleMax = 15 * time.Second
	// closeIn bounds what is tidied up after the last figures.
	closeIn = 5 * time.Second
)

// ErrDenied is a server that does not let the clients subscribe.
var ErrDenied = errors.New("the server does not grant the subscription")

// Options say what a run does.
type Options struct {
	// Client is how all of them connect; a Client Identifier gets the number
	// of the client.
	Client   client.Options
	Clients  int
	Rate     float64 // messages a second, of all clients together
	Size     int     // bytes of payload
	QoS      mqtt.QoS
	Retain   bool // and cleared at the end
	Duration time.Duration
	// Progress, when not nil, is called every second while messages are sent.
	Progress func(Figures)
}

// Due is how many messages the clients send together if the server takes
// them.
func (o *Options) Due() int { return int(o.Rate * o.Duration.Seconds()) }

// run is one Run.
type run struct {
	Options
	topic   string // of all clients, without the number
	clients []*member
	began   time.Time
	tally   tally
}

// member is one client of a run.
type member struct {
	*client.Conn
	number  int
	session client.Session
	windows []window // by the number of the sender
}

// Run connects the clients, sends for Duration, waits for what is on its way
// and returns the figures. If ctx ends, the figures are those up to then, with
// no error; with an error they are those up to it. It blocks for Duration and
// some seconds, and for as long as the server takes to let the clients in.
func Run(ctx context.Context, o Options) (Figures, error) {
	r := &run{Options: o, topic: "bench/" + rand.Text()[:8] + "/"}
	r.Client.CleanStart = true
	r.Client.Published = func(p client.Outcome) {
		if p.Reason.Failed() {
			r.tally.refused.Add(1)
		}
	}
	defer r.close()
	for i := range o.Clients {
		if err := r.join(ctx, i); err != nil {
			return Figures{}, fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	return r.measure(ctx)
}

// join connects a client and subscribes it to what all of them publish.
func (r *run) join(ctx context.Context, i int) error {
	o := r.Client
	if o.ClientID != "" {
		o.ClientID += "-" + strconv.Itoa(i+1)
	}
	m := &member{number: i, windows: make([]window, r.Clients)}
	var err error
	if m.Conn, err = client.Connect(ctx, o, &m.session); err != nil {
		return err
	}
	r.clients = append(r.clients, m)
	all := mqtt.Subscription{Filter: r.topic + "#", QoS: r.QoS}
	if _, err := m.Subscribe([]mqtt.Subscription{all}, packet.Properties{}); err != nil {
		return err
	}
	e, err := m.Next(ctx)
	if err == nil && (e.Message != nil || len(e.Reasons) != 1 || e.Reasons[0].Failed()) {
		err = ErrDenied
	}
	return err
}

// measure sends and receives until the time is over, ctx ends or a client
// fails.
func (r *run) measure(ctx context.Context) (Figures, error) {
	work, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(work, stop)
	r.began = time.Now()
	var senders, receivers sync.WaitGroup
	for _, m := range r.clients {
		receivers.Go(func() { fail(r.receive(work, m)) })
		senders.Go(func() {
			if err := r.send(sending, m); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	r.tell(&senders)
	took := time.Since(r.began)
	r.settle(work)
	err := context.Cause(work)
	fail(nil)
	receivers.Wait()
	f := r.tally.figures(r.Clients, took)
	f.Due = r.Due()
	return f, err
}

// tell waits for the senders and reports every second.
func (r *run) tell(senders *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		senders.Wait()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if r.Progress != nil {
				r.Progress(r.tally.figures(r.Clients, time.Since(r.began)))
			}
		}
	}
}

// settle waits for the acknowledgements and for what is on its way.
func (r *run) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	quiet := time.Now()
	for last := uint64(0); ctx.Err() == nil && time.Since(quiet) < settleIn; {
		got := r.tally.received.Load()
		if got == r.tally.sent.Load()*uint64(r.Clients) {
			break
		}
		if got != last {
			last, quiet = got, time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	for _, m := range r.clients {
		if m.Flush(ctx) != nil {
			return // what ended ctx or the connection is told by others
		}
	}
}

// send publishes the client's share. The clients take turns, so that the
// messages of all are one even stream.
func (r *run) send(ctx context.Context, m *member) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	topic := r.topic + strconv.Itoa(m.number)
	for n := uint32(0); ; n++ {
		turn := float64(n)*float64(r.Clients) + float64(m.number)
		due := time.Duration(turn / r.Rate * float64(time.Second))
		if int(turn) >= r.Due() || time.Since(r.began) > r.Duration {
			return nil
		}
		if wait := due - time.Since(r.began); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil
			}
			due = time.Since(r.began) // the lateness of a timer is not the server's
		}
		payload := make([]byte, r.Size) // of its own: the session keeps it until it is acknowledged
		binary.BigEndian.PutUint64(payload, uint64(due))
		binary.BigEndian.PutUint32(payload[8:], uint32(m.number))
		binary.BigEndian.PutUint32(payload[12:], n)
		r.tally.sent.Add(1)
		err := m.Publish(ctx, client.Publication{Topic: topic, Payload: payload, QoS: r.QoS, Retain: r.Retain})
		if err != nil {
			r.tally.sent.Add(^uint64(0))
			return err
		}
	}
}

// receive counts what arrives until ctx ends; the error is that of the
// connection.
func (r *run) receive(ctx context.Context, m *member) error {
	for {
		e, err := m.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", m.number+1, err)
		}
		if e.Message == nil || len(e.Message.Payload) < MinSize {
			continue
		}
		p := e.Message.Payload
		sender := binary.BigEndian.Uint32(p[8:])
		if sender >= uint32(len(m.windows)) {
			continue // not ours
		}
		v := m.windows[sender].add(binary.BigEndian.Uint32(p[12:]))
		if r.tally.count(v); v != duplicate {
			r.tally.took(time.Since(r.began) - time.Duration(binary.BigEndian.Uint64(p)))
		}
	}
}

// close clears what the run has left retained and ends the connections.
func (r *run) close() {
	var all sync.WaitGroup
	for _, m := range r.clients {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), closeIn)
			defer cancel()
			if r.Retain && m.Err() == nil {
				// Nothing else waits, or the server is not well: QoS 0 will do.
				m.Publish(ctx, client.Publication{Topic: r.topic + strconv.Itoa(m.number), Retain: true})
			}
			m.Close(mqtt.NormalDisconnection, packet.Properties{}) // there is nothing left to lose
		})
	}
	all.Wait()
}
