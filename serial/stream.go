package serial

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// DeadlineReader is what Lines and Frames need of a Port.
type DeadlineReader interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// cutter makes pieces of a stream: a framer or a deframer.
type cutter interface {
	// space returns where the next read goes; pieces handed out before are
	// overwritten.
	space() []byte
	// grow says that n bytes were put there.
	grow(n int)
	// next returns the next piece, false when more bytes are needed.
	next() ([]byte, bool)
	// restart forgets what is buffered; with skip, up to the next delimiter.
	restart(skip bool)
}

// stream is the I/O of Lines and Frames.
type stream struct {
	r     DeadlineReader
	cut   cutter
	begin func() // called with every read's bytes before they are cut; may be nil
	err   error  // of a read that also gave bytes

	piece []byte // found by ready
	has   bool   // there is a piece

	wait    atomic.Pointer[wait] // nil: nobody awaits a piece
	arrived atomic.Uint64        // bytes
}

const maxIdleReads = 100 // in a row that gave neither bytes nor error

func (s *stream) reset(r DeadlineReader) {
	s.leave()
	s.r, s.err, s.piece, s.has = r, nil, nil, false
	s.cut.restart(false)
}

// next returns the next piece before ctx ends.
func (s *stream) next(ctx context.Context) ([]byte, error) {
	if piece, done, err := s.buffered(); done {
		return piece, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.r.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if ctx.Done() == nil {
		return s.read()
	}
	woken := make(chan struct{})
	r := s.r
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = r.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed port, whose Read has ended
	})
	piece, err := s.read()
	if !stop() {
		<-woken
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
	}
	return piece, err
}

// nextBefore is next with a deadline in place of a context.
func (s *stream) nextBefore(deadline time.Time) ([]byte, error) {
	if piece, done, err := s.buffered(); done {
		return piece, err
	}
	if err := s.r.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	return s.read()
}

// buffered returns a piece that needs no read, or the error that was held back
// for it.
func (s *stream) buffered() (piece []byte, done bool, err error) {
	s.leave()
	if s.ready() && s.has {
		piece, s.piece, s.has = s.piece, nil, false
		return piece, true, nil
	}
	err, s.err = s.err, nil
	return nil, err != nil, err
}

// ready reports whether there is a piece, or an error, without a read.
func (s *stream) ready() bool {
	if !s.has {
		s.piece, s.has = s.cut.next()
	}
	return s.has || s.err != nil
}

// took says that n bytes were read into the space.
func (s *stream) took(n int) {
	s.arrived.Add(uint64(n))
	if s.begin != nil {
		s.begin()
	}
	s.cut.grow(n)
}

// read reads until a piece is complete.
func (s *stream) read() ([]byte, error) {
	for idle := 0; idle < maxIdleReads; idle++ {
		n, err := s.r.Read(s.cut.space())
		if n > 0 {
			idle = 0
			s.took(n)
			if piece, ok := s.cut.next(); ok {
				s.err = err
				return piece, nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, io.ErrNoProgress
}
