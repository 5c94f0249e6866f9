package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A gateway that takes a request and says nothing is named for what it is.
func TestCommandSaysThatTheGatewayIsSilent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	q := newAsker("status", "", streams{})
	q.socket, q.patience = socket, 50*time.Millisecond
	if _, err := q.get(t.Context(), "GET", "/api/v1/status", nil); err == nil || !strings.Contains(err.Error(), "has not answered within 50ms") {
		t.Error(err)
	}
}
