package load

import (
	"bufio"
	"bytes"
	"os"
	"testing"
	"time"
)

func TestTrackerCountsWhatIsLostDoubledAndLate(t *testing.T) {
	tr := newTracker(10)
	for _, s := range []uint64{0, 1, 3, 2, 3, 9, 700} { // 2 comes after 3, 3 twice, 700 was never sent, 4 to 8 are missing
		tr.mark(s)
	}
	if tr.tally != (tally{got: 5, dup: 2, late: 1}) {
		t.Fatalf("%+v", tr.tally)
	}
	r := Result{}
	r.deliveries(tr.tally, 10)
	if r["lost"] != 5 || r["dup"] != 2 || r["reordered"] != 1 {
		t.Fatal(r)
	}
}

func TestPublishThereAndBack(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for qos := range byte(3) {
			for _, size := range []int{0, 20, 127, 128, 20000} {
				payload := bytes.Repeat([]byte("x"), size)
				b := appendPublish(nil, version, "a/b", 7, qos, true, payload)
				b = appendAck(b, tPubrel, 9)
				r := bufio.NewReaderSize(bytes.NewReader(b), 16)
				var buf []byte
				first, body, err := readPacket(r, &buf)
				if err != nil || first>>4 != tPublish {
					t.Fatal(first, err)
				}
				p, err := parsePublish(version, first, body)
				if err != nil || string(p.topic) != "a/b" || p.qos != qos || !p.retain || !bytes.Equal(p.payload, payload) || (qos > 0) != (p.pid == 7) {
					t.Fatalf("%+v %v", p, err)
				}
				if first, body, err = readPacket(r, &buf); err != nil || first != 0x62 || !bytes.Equal(body, []byte{0, 9}) {
					t.Fatal(first, body, err)
				}
			}
		}
	}
}

func TestConnackProperties(t *testing.T) {
	// Session present; Receive Maximum 20, Maximum Packet Size, Assigned Client Identifier "ab", User Property "k" = "vw".
	body := []byte{1, 0, 21, 0x27, 0, 1, 0, 0, 0x12, 0, 2, 'a', 'b', 0x26, 0, 1, 'k', 0, 2, 'v', 'w', 0x21, 0, 20}
	c, err := parseConnack(5, body)
	if err != nil || !c.sessionPresent || c.receiveMax != 20 {
		t.Fatal(c, err)
	}
	for n := 3; n < len(body); n++ {
		if _, err := parseConnack(5, body[:n]); err == nil {
			t.Errorf("%d bytes pass for a CONNACK", n)
		}
	}
}

func TestWildcardTopicsMatchEachFilterAlike(t *testing.T) {
	seen := map[string]int{}
	for _, topic := range wildcardTopics(10, 100) {
		seen[topic]++
	}
	if len(seen) < 900 {
		t.Fatalf("%d different topics of 1000", len(seen))
	}
}

func TestCPUTimeOfAnotherProcessIsFine(t *testing.T) {
	before := cpuTime(os.Getpid())
	for start := time.Now(); time.Since(start) < 5*time.Millisecond; {
		_ = wildcardTopics(10, 10)
	}
	if d := cpuTime(os.Getpid()) - before; d < time.Millisecond || d > time.Second {
		t.Fatalf("5 ms of work cost %s", d)
	}
	if got := field("Name:\tx\nVmHWM:\t  123 kB\n", "VmHWM"); got != 123 {
		t.Fatal(got)
	}
}
