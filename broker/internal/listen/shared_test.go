package listen

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewShared("127.0.0.1:8083")
		if err != nil || s.Addr().String() != "127.0.0.1:8083" {
			t.Fatal(s, err)
		}
		_, mine := net.Pipe()
		begin := time.Now()
		if s.HandOver(mine, nil) || time.Since(begin) != handOverTimeout {
			t.Error("handed over to nobody, or waited for long:", time.Since(begin))
		}
		read := []byte("abc")
		go func() {
			if !s.HandOver(mine, read) {
				t.Error("not handed over")
			}
			read[0] = 'x'
		}()
		nc, err := s.Accept()
		synctest.Wait()
		if h := nc.(handedOver); err != nil || h.Conn != mine || string(h.read) != "abc" {
			t.Error(h, err)
		}
		s.Close()
		s.Close()
		if _, err := s.Accept(); err != net.ErrClosed || s.HandOver(mine, nil) {
			t.Error("goes on after Close", err)
		}
	})
}
