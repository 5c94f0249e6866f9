package bridge

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

func TestRemap(t *testing.T) {
	for _, tc := range []struct {
		from, to, name, want string // want empty: no match
	}{
		{"a/b", "", "a/b", "a/b"},
		{"a/b", "c", "a/b", "c"},
		{"a/b", "c", "a/b/c", ""},
		{"energy/+", "sites/n/energy/+", "energy/total", "sites/n/energy/total"},
		{"energy/+", "sites/n/energy/+", "energy", ""},
		{"energy/+", "sites/n/energy/+", "energy/", "sites/n/energy/"},
		{"sites/n/cmd/#", "cmd/#", "sites/n/cmd/a/b", "cmd/a/b"},
		{"sites/n/cmd/#", "cmd/#", "sites/n/cmd", "cmd"}, // [MQTT-4.7.1-2]
		{"#", "up/#", "a", "up/a"},
		{"#", "up/#", "$SYS/x", ""}, // [MQTT-4.7.2-1]
		{"+/x", "up/+", "$SYS/x", ""},
		{"$SYS/#", "gw/sys/#", "$SYS/x/y", "gw/sys/x/y"},
		{"+/a/+/#", "x/+/+/y/#", "1/a/2/3/4", "x/1/2/y/3/4"},
		{"/+", "+", "/a", "a"},
	} {
		c, err := compile(Route{From: tc.from, To: tc.to})
		if err != nil {
			t.Errorf("%s -> %s: %v", tc.from, tc.to, err)
			continue
		}
		if got, _ := c.remap(tc.name); got != tc.want {
			t.Errorf("%s -> %s: %s became %q, want %q", tc.from, tc.to, tc.name, got, tc.want)
		}
	}
}

func TestRouteErrors(t *testing.T) {
	three := mqtt.QoS(3)
	for _, tc := range []struct {
		route Route
		part  string
	}{
		{Route{From: ""}, "from"},
		{Route{From: "a/#/b"}, "from"},
		{Route{From: "a", To: "b+"}, "to"},
		{Route{From: "a/+", To: "b"}, "wildcards"},
		{Route{From: "a/+/#", To: "b/#"}, "wildcards"},
		{Route{From: "a", To: "b/+"}, "wildcards"},
		{Route{From: "$share/g/a"}, "as share of an in route"},
		{Route{From: "a", QoS: &three}, "qos"},
	} {
		if err := tc.route.Validate(); err == nil || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("%+v: %v, want %q in it", tc.route, err, tc.part)
		}
	}
}

func TestOutFilters(t *testing.T) {
	var got []string
	for _, s := range OutFilters([]Route{
		{From: "a/#"}, {From: "a/b"}, {From: "x/+"}, {From: "x/+"}, {From: "x/y/z"}, {From: "+/q"}, {From: "$SYS/q"}, {From: "a/b/c", Lane: Alarm},
	}, Live) {
		got = append(got, s.Filter)
	}
	want(t, "filters", got, []string{"a/#", "x/+", "x/y/z", "+/q", "$SYS/q"})
}

// The first route that matches is used, and a route matches what its filter
// matches by the rules of broker/topic.
func FuzzRemap(f *testing.F) {
	for _, s := range []string{"a/b\na/+\nc/+", "a\n#\n#", "$SYS/a\n+/a\nx/+", "a//b\na/#\n#", "a\na\n", "\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := strings.Split(s, "\n")
		if len(p) != 3 || topic.ValidName(p[0]) != nil {
			return
		}
		c, err := compile(Route{From: p[1], To: p[2]})
		if err != nil {
			return
		}
		got, ok := c.remap(p[0])
		if ok != topic.Match(p[1], p[0]) {
			t.Fatalf("%q by %q: %v, topic.Match says otherwise", p[0], p[1], ok)
		}
		to := cmp.Or(p[2], p[1]) // an empty To is From
		if ok && got != "" && got[0] != '$' && !topic.Match(to, got) {
			t.Fatalf("%q by %q -> %q gave %q", p[0], p[1], p[2], got)
		}
	})
}

func FuzzCovers(f *testing.F) {
	f.Add("a/#", "a/b", "a/b")
	f.Add("#", "$SYS/a", "$SYS/a")
	f.Add("+/+", "+/b", "x/b")
	f.Add("a/+", "a/#", "a")
	f.Fuzz(func(t *testing.T, wide, narrow, name string) {
		if topic.ValidFilter(wide) != nil || topic.ValidFilter(narrow) != nil || topic.ValidName(name) != nil {
			return
		}
		if _, _, shared := topic.Share(wide); shared {
			return
		}
		if _, _, shared := topic.Share(narrow); shared {
			return
		}
		if topic.Covers(wide, narrow) && topic.Match(narrow, name) && !topic.Match(wide, name) {
			t.Fatalf("%q covers %q, but not %q", wide, narrow, name)
		}
	})
}

func TestBackoff(t *testing.T) {
	r := newRand(1)
	for _, tc := range []struct {
		class     Class
		low, high time.Duration
	}{{ClassTCP, time.Second, 5 * time.Minute}, {ClassAuth, 5 * time.Minute, 10 * time.Minute}} {
		b := backoff{rand: r.Int64N}
		var top time.Duration
		for i := range 1000 {
			d := b.next(tc.class)
			if d < tc.low || d > tc.high {
				t.Fatalf("%s: wait %v is not within %v to %v", tc.class, d, tc.low, tc.high)
			}
			if i == 0 && d > tc.low*3/2 {
				t.Errorf("%s: first wait %v", tc.class, d)
			}
			top = max(top, d)
		}
		if top < tc.high/2 {
			t.Errorf("%s: 1000 failures never waited longer than %v", tc.class, top)
		}
		b.reset()
		if d := b.next(tc.class); d > tc.low*3/2 {
			t.Errorf("%s: %v after reset", tc.class, d)
		}
	}
	b := backoff{rand: r.Int64N}
	b.next(ClassTLSNotYetValid)
	if d := b.next(ClassTCP); d > 2*time.Second {
		t.Errorf("%v after a link that broke once the certificate was right", d)
	}
}

func TestNewErrors(t *testing.T) {
	good := Options{Name: "n", Servers: []string{"mqtt://h"}, ClientID: "c"}
	for _, tc := range []struct {
		part   string
		change func(*Options)
	}{
		{"name", func(o *Options) { o.Name = "" }},
		{"client_id", func(o *Options) { o.ClientID = "" }},
		{"servers", func(o *Options) { o.Servers = nil }},
		{"scheme", func(o *Options) { o.Servers = []string{"http://h"} }},
		{"host", func(o *Options) { o.Servers = []string{"mqtt://:1"} }},
		{"understood", func(o *Options) { o.Servers = []string{"mqtt://u:p@h"} }},
		{"Queue", func(o *Options) { o.Out = []Route{{From: "a"}} }},
		{"Local", func(o *Options) { o.In = []Route{{From: "a"}} }},
		{"status_topic", func(o *Options) { o.StatusTopic = "a/#" }},
		{"keep_alive", func(o *Options) { o.KeepAlive = time.Millisecond }},
		{"inflight", func(o *Options) { o.InFlight = 5000 }},
	} {
		o := good
		tc.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("%v, want %q in it", err, tc.part)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
