package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The rows of the failure catalogue that are the link's. Those of routes, pace
// and dead letters are beside their code.

func TestB01NameServer(t *testing.T) {
	bubble(t, "a name that does not resolve is the class dns, and the queue waits", func(t *testing.T) {
		c, err := cloudtest.New(cloudtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var lost atomic.Bool
		lost.Store(true)
		r := against(t, c, func(o *Options) {
			o.Dial = func(ctx context.Context, server string) (net.Conn, error) {
				if lost.Load() {
					return nil, failf(ClassDNS, "resolve cloud.example: %w", &net.DNSError{Err: "server misbehaving"})
				}
				return c.Dial(ctx, server)
			}
		})
		r.put("out/a", "x", 1)
		after(time.Hour)
		want(t, "class, queue", fmt.Sprint(r.Stats().Class, " ", r.q.Stats().Messages), "dns 1")
		lost.Store(false)
		after(backoffCap + time.Second)
		want(t, "delivered", r.c.Payloads(), []string{"x"})
		r.stop()
	})
}

func TestB02BlackHoleOnConnect(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		bubble(t, "MQTT "+v.String()+" CONNECT without an answer ends in time", func(t *testing.T) {
			r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{BlackHole: true}}, speaking(v))
			r.put("out/a", "x", 1)
			after(connackTimeout + time.Second/2)
			want(t, "class", r.Stats().Class, ClassTimeout)
			r.c.Set(func(f *cloudtest.Faults) { f.BlackHole = false })
			after(time.Minute)
			want(t, "delivered", r.c.Payloads(), []string{"x"})
			r.stop()
		})
	}
}

func TestB03HalfOpen(t *testing.T) {
	for _, busy := range []bool{false, true} {
		bubble(t, fmt.Sprintf("a link that dies without a word is found by its Keep Alive (traffic: %v)", busy), func(t *testing.T) {
			r := cloud(t, cloudtest.Options{})
			after(time.Second)
			r.c.Set(func(f *cloudtest.Faults) { f.HalfOpen = true })
			dead := time.Now()
			for st := Up; st == Up || st == Stalled; st = r.Stats().State {
				if busy {
					r.put("out/a", fmt.Sprint(time.Since(dead)), 1)
				}
				after(time.Second)
			}
			if d := time.Since(dead); d > 42*time.Second {
				t.Errorf("found after %v", d)
			}
			want(t, "class", r.Stats().Class, ClassTimeout)
			r.c.Set(func(f *cloudtest.Faults) { f.HalfOpen = false })
			after(2 * time.Minute)
			want(t, "queue", r.q.Stats().Messages, 0)
			r.stop()
		})
	}
}

func TestB04Certificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := cloudtest.NewAuthority()
		var server atomic.Pointer[tls.Certificate]
		issue := func(host string, from, until time.Duration) {
			c := a.Issue(host, from, until)
			server.Store(&c)
		}
		issue("cloud.example", -2*time.Hour, -time.Hour)
		c, err := cloudtest.New(cloudtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tr := &cloudtest.Transport{Cloud: c, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{*server.Load()}} }}
		r := against(t, c, func(o *Options) {
			o.Servers, o.Dial = []string{"mqtts://cloud.example"}, tr.Dial
			o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: a.Roots()}, nil }
		})
		for _, step := range []struct {
			name        string
			host        string
			from, until time.Duration
			class       Class
		}{
			{"expired", "cloud.example", -2 * time.Hour, -time.Hour, ClassTLSExpired},
			{"not yet valid", "cloud.example", 10 * time.Hour, 20 * time.Hour, ClassTLSNotYetValid},
			{"another name", "other.example", -time.Hour, time.Hour, ClassTLS},
		} {
			issue(step.host, step.from, step.until)
			after(backoffSlowCap + time.Second)
			before := r.Stats().Attempts
			want(t, step.name, r.Stats().Class, step.class)
			after(time.Hour)
			if n := r.Stats().Attempts - before; n > 12 {
				t.Errorf("%s: %d attempts in an hour", step.name, n)
			}
		}
		issue("cloud.example", -time.Hour, time.Hour)
		r.put("out/a", "x", 1)
		after(backoffSlowCap + time.Second)
		want(t, "delivered with a good one", c.Payloads(), []string{"x"})
		r.stop()
	})
}

// Certificates that were replaced are used at once, not after the long wait for a
// person: he was there.
func TestB04CertificatesAreReplaced(t *testing.T) {
	bubble(t, "first the certificate, and minutes later its key", func(t *testing.T) {
		a := cloudtest.NewAuthority()
		pair, own, other := a.Issue("cloud.example", -time.Hour, time.Hour), a.Issue("gw", -time.Hour, time.Hour), cloudtest.NewAuthority()
		c, err := cloudtest.New(cloudtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tr := &cloudtest.Transport{Cloud: c, TLS: func() *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Roots()}
		}}
		var files atomic.Pointer[tls.Config]
		files.Store(nil)
		r := against(t, c, func(o *Options) {
			o.Servers, o.Dial = []string{"mqtts://cloud.example"}, tr.Dial
			o.TLS = func() (*tls.Config, error) {
				if cfg := files.Load(); cfg != nil {
					return cfg, nil
				}
				return nil, errors.New("private key does not match public key")
			}
		})
		after(time.Minute)
		want(t, "class", r.Stats().Class, ClassTLS)
		want(t, "attempts", r.Stats().Attempts, 1)
		files.Store(&tls.Config{RootCAs: other.Roots(), Certificates: []tls.Certificate{own}})
		after(cureLook + time.Second)
		want(t, "attempts with an authority that did not sign", r.Stats().Attempts, 2)
		files.Store(&tls.Config{RootCAs: a.Roots(), Certificates: []tls.Certificate{other.Issue("gw", -time.Hour, time.Hour)}})
		after(cureLook + time.Second)
		want(t, "class with a certificate of a stranger", r.Stats().Class, ClassTLS)
		want(t, "attempts", r.Stats().Attempts, 3)
		files.Store(&tls.Config{RootCAs: a.Roots(), Certificates: []tls.Certificate{own}})
		after(cureLook + time.Second)
		want(t, "state", r.Stats().State, Up)
		r.stop()
	})
}

// A password that was signed in 1970 is signed anew as soon as the clock is set.
func TestB04ClockIsSetAfterARefusal(t *testing.T) {
	bubble(t, "back and ahead", func(t *testing.T) {
		start, set := time.Now(), new(atomic.Int64)
		clock := newClock(func(now time.Time) (time.Time, time.Duration) {
			return now.Round(0).Add(time.Duration(set.Load())), now.Sub(start)
		})
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: mqtt.BadUserNameOrPassword}}, func(o *Options) { o.Clock = clock })
		after(time.Minute)
		want(t, "attempts before", r.Stats().Attempts, 1)
		for i, d := range []time.Duration{time.Hour, -24 * time.Hour} {
			set.Store(int64(d))
			after(cureLook + time.Second)
			want(t, "attempts", r.Stats().Attempts, 2+i)
		}
		r.c.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.Success })
		set.Store(0)
		after(cureLook + time.Second)
		want(t, "state", r.Stats().State, Up)
		r.stop()
	})
}

// A board without a clock reaches a server whose certificate began after its
// 1970; what had ended when the program was built is refused.
func TestB04WithoutAClock(t *testing.T) {
	for name, tc := range map[string]struct {
		host        string
		from, until time.Duration
		class       Class
	}{
		"issued after the program":   {"cloud.example", 40 * time.Hour, 49 * time.Hour, ""},
		"valid when the program was": {"cloud.example", 0, 80 * time.Hour, ""},
		"ended before the program":   {"cloud.example", -time.Hour, 5 * time.Hour, ClassTLSExpired},
		"of another server":          {"other.example", 40 * time.Hour, 49 * time.Hour, ClassTLS},
		"of an authority nobody has": {"", 40 * time.Hour, 49 * time.Hour, ClassTLS},
	} {
		bubble(t, name, func(t *testing.T) {
			a := cloudtest.NewAuthority()
			signer := a
			if tc.host == "" {
				signer, tc.host = cloudtest.NewAuthority(), "cloud.example"
			}
			pair := signer.Issue(tc.host, tc.from, tc.until)
			c, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			tr := &cloudtest.Transport{Cloud: c, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pair}} }}
			r := against(t, c, func(o *Options) {
				o.Servers, o.Dial, o.Built = []string{"mqtts://cloud.example"}, tr.Dial, time.Now().Add(10*time.Hour)
				o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: a.Roots()}, nil }
			})
			after(time.Minute)
			want(t, "class", r.Stats().Class, tc.class)
			r.stop()
		})
	}
}

func TestB05SlowLink(t *testing.T) {
	bubble(t, "at 5 kB/s all arrives over one connection, and never more than the window is on the way", func(t *testing.T) {
		c, err := cloudtest.New(cloudtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := against(t, c, func(o *Options) { o.Dial, o.InFlight, o.InFlightBytes = slowly(c.Dial, 5<<10), 100, 16<<10 })
		for i := range 100 {
			r.put("out/a", fmt.Sprint(i)+strings.Repeat("x", 4000), mqtt.QoS(1+i%2))
		}
		after(3 * time.Minute)
		want(t, "delivered", len(c.Messages()), 100)
		want(t, "connects", r.Stats().Connects, 1)
		if n := c.MaxFlight(); n > 5 {
			t.Errorf("%d messages of 4 kB in flight, at most 16 KiB are allowed", n)
		}
		r.stop()
	})
}

func TestB06NeverAcknowledged(t *testing.T) {
	bubble(t, "after 60 s the bridge reconnects and sends again; after three times one at a time", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{DropAcks: true}})
		for i := range 10 {
			r.put("out/a", fmt.Sprint(i), 2)
		}
		after(ackTimeout + time.Second)
		want(t, "class", r.Stats().Class, ClassStalled)
		after(time.Hour)
		seen := r.c.Seen()
		last := seen[len(seen)-1].Conn
		n := 0
		for _, m := range seen {
			if m.Conn == last {
				n++
			}
		}
		want(t, "in flight after stalls", n, 1)
		r.c.Set(func(f *cloudtest.Faults) { f.DropAcks = false })
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), strings.Fields("0 1 2 3 4 5 6 7 8 9"))
		r.stop()
	})
}

func TestB07SessionLost(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		bubble(t, "MQTT "+v.String()+" what was in flight is sent anew; what the server owned is not", func(t *testing.T) {
			r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{
				Publish: func(m cloudtest.Message) cloudtest.Verdict {
					return cloudtest.Verdict{Ignore: string(m.Payload) > "2"}
				},
				Release: func(uint16) cloudtest.Verdict { return cloudtest.Verdict{Cut: true} },
			}}, speaking(v))
			for i := range 6 {
				r.put("out/a", fmt.Sprint(i), 1)
			}
			after(time.Second)
			r.put("out/a", "1 with QoS 2", 2) // its PUBREL cuts the link
			after(100 * time.Millisecond)
			r.c.Set(func(f *cloudtest.Faults) { *f = cloudtest.Faults{SessionLost: true} })
			after(time.Minute)
			want(t, "delivered", r.c.Payloads(), []string{"0", "1", "2", "1 with QoS 2", "3", "4", "5"})
			st := r.Stats()
			want(t, "anew, queue", fmt.Sprint(st.Again, r.q.Stats().Messages), "3 0")
			for _, m := range r.c.Seen() {
				if m.Dup {
					t.Errorf("DUP=1 in a new session: %s", m.Payload)
				}
			}
			r.stop()
		})
	}
}

func TestB12ReceiveMaximum(t *testing.T) {
	bubble(t, "MQTT-3.3.4-9 it holds at 1, 10 and 100, changed on reconnect, for messages sent again too", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, func(o *Options) { o.InFlight = 1000 })
		total := 0
		for _, n := range []uint16{100, 1, 10, 1, 100} {
			r.c.Set(func(f *cloudtest.Faults) { f.ReceiveMaximum, f.DropAcks = n, true })
			r.c.Kill()
			for range 200 {
				r.put("out/a", fmt.Sprint(total), mqtt.QoS(1+total%2))
				total++
			}
			after(30 * time.Second)
			r.c.Set(func(f *cloudtest.Faults) { f.DropAcks, f.AckDelay = false, 10*time.Millisecond })
			r.c.Kill()
			after(2 * time.Minute)
		}
		want(t, "violations", r.c.Violations(), []string(nil))
		want(t, "most in flight", r.c.MaxFlight(), 100)
		want(t, "queue", r.q.Stats().Messages, 0)
		once(t, r.c, total, true)
		r.stop()
	})
}

// once checks that the messages 0 to n-1 have all arrived, those of odd numbers,
// which have QoS 2, once, and in order of their first arrival if orderly.
func once(t *testing.T, c *cloudtest.Cloud, n int, orderly bool) {
	t.Helper()
	times := map[string]int{}
	var first []string
	for _, m := range c.Messages() {
		p := string(m.Payload)
		if times[p]++; times[p] == 1 {
			first = append(first, p)
		} else if m.QoS == 2 {
			t.Errorf("message %s, QoS 2, arrived %d times", p, times[p])
		}
	}
	for i := range n {
		if times[fmt.Sprint(i)] == 0 {
			t.Errorf("message %d is lost", i)
		}
		if orderly && i < len(first) && first[i] != fmt.Sprint(i) {
			t.Errorf("message %s arrived in place %d", first[i], i)
			orderly = false
		}
	}
}

func TestB13OthersMistakes(t *testing.T) {
	bubble(t, "PUBREL is sent again when its connection broke", func(t *testing.T) {
		cuts := 0
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Release: func(uint16) cloudtest.Verdict {
			cuts++
			return cloudtest.Verdict{Cut: cuts < 4}
		}}})
		r.put("out/a", "x", 2)
		after(5 * time.Minute)
		want(t, "delivered, PUBLISH packets, PUBREL packets, held", fmt.Sprint(len(r.c.Messages()), len(r.c.Seen()), cuts, r.c.Held("gw")), "1 1 4 0")
		r.stop()
	})
	bubble(t, "the middle of an outage arrives as well, in order", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{})
		n := 0
		put := func(count int) {
			for range count {
				r.put("out/a", fmt.Sprint(n), mqtt.QoS(1+n%2))
				n++
			}
		}
		put(50)
		after(time.Second)
		for range 5 {
			r.c.Set(func(f *cloudtest.Faults) { f.Refuse = true })
			r.c.Kill()
			put(300)
			after(10 * time.Minute)
			r.c.Set(func(f *cloudtest.Faults) { f.Refuse, f.Flap = false, 50*time.Millisecond })
			after(20 * time.Minute)
			r.c.Set(func(f *cloudtest.Faults) { f.Flap = 0 })
			put(10)
			after(10 * time.Minute)
		}
		want(t, "queue", r.q.Stats().Messages, 0)
		once(t, r.c, n, true)
		r.stop()
	})
}

func TestB15Flapping(t *testing.T) {
	for _, life := range []time.Duration{time.Second, 30 * time.Second} {
		bubble(t, fmt.Sprintf("a server that accepts and dies after %v is not asked more often than one that refuses", life), func(t *testing.T) {
			r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Flap: life}})
			stop := time.Now().Add(6 * time.Hour)
			for i := 0; time.Now().Before(stop); i++ {
				r.put("out/a", fmt.Sprint(i), 1)
				after(time.Minute)
			}
			// A wait between 1 s and 5 min, each up to three times the last.
			if n := r.Stats().Attempts; n > 6*200 {
				t.Errorf("%d attempts in six hours", n)
			}
			late := 0
			c := r.c.Connects()
			for i := 1; i < len(c); i++ {
				if c[i].At.Sub(c[i-1].At) < life+backoffBase {
					t.Errorf("attempt %d followed after %v", i, c[i].At.Sub(c[i-1].At))
				}
				if c[i].At.Sub(c[i-1].At) > time.Minute {
					late++
				}
			}
			if late == 0 {
				t.Error("the back-off never grew")
			}
			r.stop()
		})
	}
}

func TestB19CredentialsRevoked(t *testing.T) {
	for _, code := range []mqtt.ReasonCode{mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.ClientIdentifierNotValid, mqtt.Banned} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			if v == mqtt.V311 && code == mqtt.Banned {
				continue // it has no such return code
			}
			bubble(t, fmt.Sprintf("MQTT %s %s", v, code), func(t *testing.T) {
				r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: code}}, speaking(v))
				after(time.Hour)
				want(t, "class", r.Stats().Class, ClassAuth)
				if n := len(r.c.Connects()); n < 2 || n > 15 {
					t.Errorf("asked %d times in an hour", n)
				}
				r.stop()
			})
		}
	}
}

func TestB20AnotherServer(t *testing.T) {
	for _, code := range []mqtt.ReasonCode{mqtt.UseAnotherServer, mqtt.ServerMoved} {
		bubble(t, code.String()+": a server of the list is followed, no other", func(t *testing.T) {
			first, second, dial := pairOfServers(t)
			asked := map[string]int{}
			r := against(t, second, func(o *Options) {
				o.Servers = []string{"mqtt://first", "mqtt://second"}
				o.Dial = func(ctx context.Context, server string) (net.Conn, error) {
					asked[server]++
					return dial(ctx, server)
				}
			})
			after(time.Second)
			want(t, "server", r.Stats().Server, "first:1883")
			first.Set(func(f *cloudtest.Faults) {
				f.Reference = "second:1883"
				f.Publish = func(cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Goodbye: code} }
			})
			r.put("out/a", "x", 1)
			after(30 * time.Second)
			want(t, "server", r.Stats().Server, "second:1883")
			want(t, "delivered", second.Payloads(), []string{"x"})
			first.Set(func(f *cloudtest.Faults) { f.Reference, f.Connack = "evil.example:1883", code })
			second.Set(func(f *cloudtest.Faults) { f.Reference, f.Connack = "evil.example:1883", code })
			second.Kill()
			after(time.Hour)
			want(t, "asked evil", asked["evil.example:1883"], 0)
			want(t, "class", r.Stats().Class, ClassRefused)
			r.stop()
		})
	}
	bubble(t, "whom CONNACK names is asked next", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		first.Set(func(f *cloudtest.Faults) { f.Reference, f.Connack = "second", mqtt.UseAnotherServer })
		var asked []string
		r := against(t, second, func(o *Options) {
			o.Servers = []string{"mqtt://first", "mqtt://other", "mqtt://second"}
			o.Dial = func(ctx context.Context, server string) (net.Conn, error) {
				asked = append(asked, server)
				return dial(ctx, server)
			}
		})
		after(time.Second)
		want(t, "asked", asked, []string{"first:1883", "second:1883"})
		want(t, "attempts", r.Stats().Attempts, 1)
		r.stop()
	})
	bubble(t, "two servers that name each other are not asked more often than one that refuses", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		for i, c := range []*cloudtest.Cloud{first, second} {
			c.Set(func(f *cloudtest.Faults) {
				f.Reference = []string{"second", "first"}[i]
				f.Publish = func(cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Goodbye: mqtt.ServerMoved} }
			})
		}
		asked := 0
		r := against(t, second, func(o *Options) {
			o.Servers = []string{"mqtt://first", "mqtt://second"}
			o.Dial = func(ctx context.Context, server string) (net.Conn, error) {
				if asked++; asked > 1000 { // or the six hours never pass
					return nil, errDead
				}
				return dial(ctx, server)
			}
		})
		r.put("out/a", "x", 1)
		after(6 * time.Hour)
		if n := len(first.Connects()) + len(second.Connects()); n > 6*60 {
			t.Errorf("%d connections in six hours", n)
		}
		want(t, "waiting", r.Stats().Queue.Messages, 1)
		r.stop()
	})
	bubble(t, "Server shutting down is left with the usual back-off", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Publish: func(cloudtest.Message) cloudtest.Verdict {
			return cloudtest.Verdict{Goodbye: mqtt.ServerShuttingDown}
		}}})
		r.put("out/a", "x", 1)
		after(time.Hour)
		want(t, "class", r.Stats().Class, ClassRefused)
		if n := len(r.c.Connects()); n > 200 {
			t.Errorf("%d connections in an hour", n)
		}
		want(t, "dead", r.Stats().Dead, 0)
		r.stop()
	})
}

// crash is what a power cut leaves: the queue as it is now. The old bridge goes
// on with one that nobody reads again.
func (r *cloudRig) crash(t *testing.T, change ...func(*Options)) *cloudRig {
	t.Helper()
	q := r.q.killed(t)
	r.c.Kill()
	r.dead.Store(true)
	next := againstQueue(t, r.c, q, change...)
	return next
}

func TestB24PowerCut(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		bubble(t, "MQTT "+v.String()+" cuts at any moment lose nothing and double no QoS 2 message", func(t *testing.T) {
			r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{AckDelay: 20 * time.Millisecond}}, speaking(v))
			n := 0
			for cut := range 40 {
				for range 15 {
					r.put("out/a", fmt.Sprint(n), mqtt.QoS(1+n%2))
					n++
				}
				after(time.Duration(cut*7) * time.Millisecond)
				r = r.crash(t, speaking(v))
			}
			after(time.Minute)
			want(t, "queue", r.q.Stats().Messages, 0)
			once(t, r.c, n, true)
			want(t, "held", r.c.Held("gw"), 0)
			r.stop()
		})
	}
}

var errDead = errors.New("the machine is off")
