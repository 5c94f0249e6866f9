package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// One user alone may retain as much as there is room for; as soon as another
// one has something, the last eighth is for those who have less than a quarter.
func TestRetainedQuotas(t *testing.T) {
	now := time.Unix(1000, 0)
	fill := func(r *Router, user string, n int, payload string) (kept int) {
		for i := range n {
			p := message(fmt.Sprintf("%3s/%03d", user, i), payload, true)
			p.User = user
			if !r.Publish(now, p).NotRetained {
				kept++
			}
		}
		return kept
	}
	clear := func(r *Router) {
		for _, user := range []string{"", "ann", "bob"} {
			fill(r, user, 100, "")
		}
		if c := r.Counts(); len(r.quotas.byUser) != 0 || c.Retained != 0 || c.RetainedBytes != 0 {
			t.Errorf("cleared, %d quotas and %+v are left", len(r.quotas.byUser), c)
		}
	}
	payload := string(make([]byte, 993)) // 1000 bytes with its topic
	const each = 1000 + 128 + entrySize + nodeSize
	for what, l := range map[string]Limits{
		"messages": {RetainedMessages: 80, RetainedBytes: 1 << 20},
		"bytes":    {RetainedMessages: 1 << 20, RetainedBytes: 80 * 1000},
		"memory":   {RetainedMessages: 1 << 20, RetainedBytes: 1 << 20, Memory: memory.New(4 * (80*each + 4*nodeSize))},
	} {
		r := New(new(store.Memory), l)
		if got := fill(r, "ann", 100, payload); got != 80 {
			t.Errorf("%s: alone, a user retains %d, want all of 80", what, got)
		}
		clear(r)

		fill(r, "bob", 1, payload)
		if got := fill(r, "ann", 100, payload); got != 69 {
			t.Errorf("%s: beside another one, a user retains %d, want 69: seven eighths in all", what, got)
		}
		if got := fill(r, "ann", 69, payload); got != 69 {
			t.Errorf("%s: %d new values are retained, want all of 69", what, got)
		}
		if got := fill(r, "bob", 100, payload); got != 11 {
			t.Errorf("%s: who has less retains %d, want 11: the last eighth too", what, got)
		}
		clear(r)

		fill(r, "ann", 69, payload)
		if got := fill(r, "", 100, payload); got != 11 {
			t.Errorf("%s: the gateway itself retains %d, want 11", what, got)
		}
		if got := fill(r, "ann", 70, payload); got != 69 {
			t.Errorf("%s: beside the gateway, a user retains %d, want 69", what, got)
		}
		clear(r)
	}

	// What the store had kept is nobody's: after a restart a user may have its
	// quarter beside it.
	r := New(new(store.Memory), Limits{RetainedMessages: 80, RetainedBytes: 1 << 20})
	for i := range 60 {
		r.Restore(&mqtt.Message{Topic: fmt.Sprint("kept/", i), Payload: []byte("x"), Retain: true})
	}
	fill(r, "bob", 1, "x")
	if got := fill(r, "ann", 100, "x"); got != 19 {
		t.Errorf("after a restart a user retains %d more, want 19", got)
	}
}

// Each level of a topic takes memory, which must be there before the message
// is retained: of topics from other servers no limit bounds the levels.
func TestLevelsOfRetainedTopicsAreAccounted(t *testing.T) {
	const share = 1 << 20
	account := memory.New(4 * share)
	r := New(new(store.Memory), Limits{RetainedMessages: 100, RetainedBytes: 1 << 20, Memory: account})
	if !r.Publish(time.Unix(1000, 0), message(strings.Repeat("/", 65_000), "x", true)).NotRetained {
		t.Error("a topic of 65,001 levels is retained")
	}
	if held := account.Held(memory.Retained); held > share {
		t.Errorf("%d bytes are held, the share is %d", held, share)
	}
}
