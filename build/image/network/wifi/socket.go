package wifi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Message is one of nl80211's: a command and its attributes.
type Message struct {
	Command byte
	Attrs   []byte
}

// Socket is nl80211.
type Socket interface {
	// Request sends a command and returns what the kernel answers; dump asks
	// for all there is.
	Request(m Message, dump bool) ([]Message, error)
	// Event waits for something that the kernel tells unasked.
	Event(ctx context.Context) (Message, error)
	Close() error
}

type socket struct {
	requests, events *genetlink.Conn
	family           uint16
	version          byte
	queue            []Message
}

// requestTimeout bounds the kernel's answer: some drivers wait for firmware.
const requestTimeout = 20 * time.Second

// Dial opens nl80211; os.ErrNotExist when the kernel has no radio support loaded.
func Dial() (Socket, error) {
	requests, err := genetlink.Dial(nil)
	if err != nil {
		return nil, err
	}
	family, err := requests.GetFamily(unix.NL80211_GENL_NAME)
	if err != nil {
		return nil, errors.Join(err, requests.Close())
	}
	events, err := genetlink.Dial(nil)
	if err != nil {
		return nil, errors.Join(err, requests.Close())
	}
	s := &socket{requests: requests, events: events, family: family.ID, version: family.Version}
	for _, g := range family.Groups {
		if g.Name == unix.NL80211_MULTICAST_GROUP_MLME || g.Name == unix.NL80211_MULTICAST_GROUP_SCAN || g.Name == unix.NL80211_MULTICAST_GROUP_CONFIG {
			if err := events.JoinGroup(g.ID); err != nil {
				return nil, errors.Join(fmt.Errorf("group %s: %w", g.Name, err), s.Close())
			}
		}
	}
	return s, nil
}

func (s *socket) Request(m Message, dump bool) ([]Message, error) {
	flags := netlink.Request | netlink.Acknowledge
	if dump {
		flags = netlink.Request | netlink.Dump
	}
	if err := s.requests.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	answers, err := s.requests.Execute(genetlink.Message{Header: genetlink.Header{Command: m.Command, Version: s.version}, Data: m.Attrs}, s.family, flags)
	var out []Message
	for _, a := range answers {
		out = append(out, Message{a.Header.Command, a.Data})
	}
	return out, err
}

func (s *socket) Event(ctx context.Context) (Message, error) {
	for len(s.queue) == 0 {
		deadline, _ := ctx.Deadline() // the zero time: none
		if err := s.events.SetReadDeadline(deadline); err != nil {
			return Message{}, err
		}
		stop := context.AfterFunc(ctx, func() { s.events.SetReadDeadline(time.Unix(1, 0)) })
		messages, _, err := s.events.Receive()
		stop()
		switch {
		case ctx.Err() != nil:
			return Message{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return Message{}, context.DeadlineExceeded
		case errors.Is(err, unix.ENOBUFS):
			return Message{}, errMissed
		case err != nil:
			return Message{}, err
		}
		for _, m := range messages {
			s.queue = append(s.queue, Message{m.Header.Command, m.Data})
		}
	}
	m := s.queue[0]
	s.queue = s.queue[1:]
	return m, nil
}

// errMissed says that the kernel had more to tell than the socket holds.
var errMissed = errors.New("events of the radio were missed")

func (s *socket) Close() error { return errors.Join(s.requests.Close(), s.events.Close()) }
