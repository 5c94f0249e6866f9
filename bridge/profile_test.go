package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func profiled(t *testing.T, name string) Profile {
	t.Helper()
	p, ok := FindProfile(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	return p
}

// target is one profile against the fake of its service.
type target struct {
	profile  string
	limits   cloudtest.Limits
	versions []mqtt.Version
	to       string // of the route out/#
	in       string // a filter of the service; empty: none
	username string
	password string
	signer   Signer
}

// hostile are messages of which no service takes all.
var hostile = []struct {
	topic   string
	payload int
	qos     mqtt.QoS
	retain  bool
}{
	{"out/a", 10, 0, false}, {"out/a", 10, 1, false}, {"out/a", 10, 2, false}, {"out/a", 10, 1, true},
	{"out/1/2/3/4/5/6/7/8/9", 10, 1, false}, {"out/" + strings.Repeat("x", 300), 10, 1, false},
	{"out/a", 65_537, 1, false}, {"out/a", 128<<10 + 1, 1, false}, {"out/a", 256<<10 + 1, 1, false},
	{"out/a", 1<<20 + 1, 1, false}, {"out/a", 2_000_001, 1, false}, {"out/last", 10, 1, false},
}

// runTarget sends everything hostile and a burst, in every version the service
// speaks. The service must find nothing to object to and never throttle; what
// it would not have taken lies with the dead.
func runTarget(t *testing.T, g target) {
	for _, v := range g.versions {
		bubble(t, "MQTT "+v.String(), func(t *testing.T) {
			p := profiled(t, g.profile)
			r := cloud(t, cloudtest.Options{Limits: g.limits}, func(o *Options) {
				o.Profile, o.Protocol, o.Servers = p, v, []string{"mqtt://hub.azure-devices.net"}
				o.Username, o.Password, o.Signer, o.InFlight = g.username, g.password, g.signer, 1000
				o.Out = []Route{{From: "out/#", To: g.to}}
				if g.in != "" {
					o.In = []Route{{From: g.in, To: "cmd/#"}}
					if !strings.HasSuffix(g.in, "#") {
						o.In[0].To = "cmd/+"
					}
				}
				o.KeepAlive = 30 * time.Minute
				if name := "dunlin/gw/status"; p.Takes(name, o.ClientID) { // the default of the configuration
					o.StatusTopic = name
				}
			})
			for _, h := range hostile {
				r.q.add(mqtt.Message{Topic: h.topic, Payload: make([]byte, h.payload), QoS: h.qos, Retain: h.retain})
			}
			const burst = 500
			for i := range burst {
				r.put("out/burst", fmt.Sprint(i), mqtt.QoS(i%3))
			}
			if g.in != "" {
				after(time.Second)
				r.c.Publish(mqtt.Message{Topic: strings.ReplaceAll(strings.ReplaceAll(g.in, "#", "x"), "+", "y"), Payload: []byte("c"), QoS: 1})
			}
			after(5 * time.Minute)
			want(t, "violations", r.c.Violations(), []string(nil))
			want(t, "throttled", r.c.Throttled(), 0)
			want(t, "queue", r.q.Stats().Messages, 0)
			st := r.Stats()
			want(t, "connects", st.Connects, 1)
			got := slices.DeleteFunc(r.c.Messages(), func(m cloudtest.Message) bool { return m.Topic == "dunlin/gw/status" })
			if len(got)+int(st.Dead) != len(hostile)+burst || len(got) < burst+5 {
				t.Errorf("%d arrived, %d dead, want %d together", len(got), st.Dead, len(hostile)+burst)
			}
			if g.in != "" {
				want(t, "commands", len(r.local.messages()), 1)
			}
			r.stop()
		})
	}
}

var v3and5 = []mqtt.Version{mqtt.V311, mqtt.V5}

func TestC1AWSIoT(t *testing.T) {
	runTarget(t, target{profile: "aws-iot", limits: cloudtest.AWS(), versions: v3and5, to: "#", in: "cmd/#"})
	bubble(t, "a Basic Ingest prefix does not count", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Limits: cloudtest.AWS()}, func(o *Options) {
			o.Profile, o.Out = profiled(t, "aws-iot"), []Route{{From: "out/#", To: "$aws/rules/site/#"}}
		})
		r.put("out/1/2/3/4/5/6/7/8", "x", 1)
		r.put("out/1/2/3/4/5/6/7/8/9", "x", 1)
		after(time.Second)
		want(t, "arrived, dead, violations", fmt.Sprint(len(r.c.Messages()), r.Stats().Dead, r.c.Violations()), "1 1 []")
	})
}

func TestC2AzureIoTHub(t *testing.T) {
	sign, err := SAS("gw", "c2VjcmV0", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	runTarget(t, target{
		profile: "azure-iot-hub", limits: cloudtest.AzureIoTHub("gw"), versions: []mqtt.Version{mqtt.V311},
		to: "devices/gw/messages/events/#", in: "devices/gw/messages/devicebound/#", signer: sign,
	})
}

func TestC3EventGrid(t *testing.T) {
	runTarget(t, target{profile: "azure-event-grid", limits: cloudtest.EventGrid(), versions: v3and5, to: "site/#", in: "cmd/#", username: "gw", password: "x"})
	bubble(t, "a message that cannot be published here is not answered with a failure", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Limits: cloudtest.EventGrid()}, func(o *Options) {
			o.Profile, o.Username, o.In = profiled(t, "azure-event-grid"), "gw", []Route{{From: "cmd/#"}}
			o.Local.(*fakeLocal).fail = func(int) error { return mqtt.Errorf(mqtt.NotAuthorized, "", "no") }
		})
		after(time.Second)
		r.c.Publish(mqtt.Message{Topic: "cmd/a", Payload: []byte("x"), QoS: 1})
		after(time.Minute)
		want(t, "connects, violations, rejected", fmt.Sprint(r.Stats().Connects, r.c.Violations(), r.Stats().Rejected), "1 [] 1")
	})
}

func TestC4HiveMQCloud(t *testing.T) {
	runTarget(t, target{profile: "hivemq-cloud", limits: cloudtest.HiveMQCloud(), versions: v3and5, to: "#", in: "cmd/#", username: "u", password: "p"})
}

func TestC5EMQXServerless(t *testing.T) {
	runTarget(t, target{profile: "emqx-serverless", limits: cloudtest.EMQXServerless(), versions: v3and5, to: "#", in: "cmd/#", username: "u", password: "p"})
}

// C6, Google: a service in the manner of Cloud IoT Core takes a token that is
// minted for each connection.
func TestC6TokenAsPassword(t *testing.T) {
	bubble(t, "the token is renewed before it ends", func(t *testing.T) {
		made := 0
		limits := cloudtest.Limits{NoQoS2: true, MaximumQoS: 1, Topics: []string{"/devices/gw/events/#"}, Login: func(k *cloudtest.Connect) bool { return k.Password == fmt.Sprint("token ", made) }}
		r := cloud(t, cloudtest.Options{Limits: limits}, func(o *Options) {
			o.Out = []Route{{From: "out/#", To: "/devices/gw/events/#", QoS: new(mqtt.QoS(1))}}
			o.Signer = func(host string, now time.Time) (string, time.Time, error) {
				want(t, "host", host, "cloud.example")
				made++
				return fmt.Sprint("token ", made), now.Add(time.Hour), nil
			}
		})
		for i := range 10 {
			r.put("out/a", fmt.Sprint(i), 2)
			after(30 * time.Minute)
		}
		want(t, "delivered", r.c.Payloads(), strings.Fields("0 1 2 3 4 5 6 7 8 9"))
		want(t, "violations", r.c.Violations(), []string(nil))
		c := r.c.Connects()
		if len(c) != 7 || c[1].At.Sub(c[0].At) != 48*time.Minute {
			t.Errorf("%d connections in five hours", len(c))
		}
	})
}

func TestC7ThingsBoard(t *testing.T) {
	runTarget(t, target{profile: "thingsboard", limits: cloudtest.ThingsBoard(), versions: []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5},
		to: "v1/gateway/#", in: "v1/devices/me/rpc/request/+", username: "token"})
}

func TestC8Mosquitto(t *testing.T) {
	runTarget(t, target{profile: "mosquitto", limits: cloudtest.Mosquitto(), versions: v3and5, to: "#", in: "cmd/#"})
}

func TestC8NATS(t *testing.T) {
	runTarget(t, target{profile: "nats", limits: cloudtest.NATS(), versions: []mqtt.Version{mqtt.V311}, to: "#", in: "cmd/#"})
}

// What a profile finds without a network.
func TestProfileCheck(t *testing.T) {
	var eleven []Route
	for i := range 11 {
		eleven = append(eleven, Route{From: fmt.Sprint("cmd/", i)})
	}
	for _, tc := range []struct {
		profile string
		o       Options
		want    string
	}{
		{"aws-iot", Options{Servers: []string{"mqtts://a"}, HasCertificate: true, StatusTopic: "dunlin/barn/status", Out: []Route{{From: "a/#"}}, In: []Route{{From: "b/#"}}}, ""},
		{"aws-iot", Options{Servers: []string{"mqtt://a"}, Protocol: mqtt.V31, ClientID: strings.Repeat("x", 129), KeepAlive: time.Hour}, "protocol client_id keep_alive servers[0] credentials"},
		{"aws-iot", Options{HasCertificate: true, Out: []Route{{From: "a"}, {From: "b", To: "1/2/3/4/5/6/7/8/9"}, {From: "c/#", To: strings.Repeat("x", 257) + "/#"}}}, "out[1] out[2]"},
		{"aws-iot", Options{HasCertificate: true, In: []Route{{From: "1/2/3/4/5/6/7/#"}, {From: "1/2/3/4/5/6/7/8/#"}, {From: strings.Repeat("x", 257)}}}, "in[1] in[2]"},
		{"azure-iot-hub", Options{Password: "x", StatusTopic: "s", Out: []Route{{From: "a/#"}, {From: "a/#", To: "devices/gw/messages/events/#"}}, In: []Route{{From: "c/#"}}}, "protocol status_topic out[0] in[0]"},
		{"azure-iot-hub", Options{Password: "x", Protocol: mqtt.V311, Out: []Route{{From: "a/#", To: "devices/other/messages/events/#"}}}, "out[0]"},
		{"thingsboard", Options{Username: "t", Out: []Route{{From: "a/+", To: "v1/devices/me/+"}, {From: "b/#", To: "+/#"}}}, "out[1]"},
		{"thingsboard", Options{Username: "t", Envelope: ThingsBoard, Out: []Route{{From: "a/#"}}}, ""},
		{"thingsboard", Options{}, "credentials"},
		{"thingsboard", Options{HasCertificate: true}, ""},
		{"azure-event-grid", Options{HasCertificate: true}, "credentials"},
		{"emqx-serverless", Options{Username: "u", Password: "p", In: eleven}, "in"},
		{"emqx-serverless", Options{Username: "u", Password: "p", In: append(eleven, Route{From: "cmd/+"})}, ""},
		{"emqx-serverless", Options{Username: "u", Password: "p", In: []Route{{From: "1/2/3/4/5/6/7/8/9/10"}, {From: "1/2/3/4/5/6/7/8/9/10/#"}}}, "in[1]"},
		{"nats", Options{}, "protocol"},
		{"nats", Options{Protocol: mqtt.V311, Out: []Route{{From: "a b"}, {From: "a/+"}}, In: []Route{{From: "c d/#"}}}, "out[0] in[0]"},
		{"generic", Options{Protocol: mqtt.V31}, ""},
	} {
		p := profiled(t, tc.profile)
		if tc.o.Protocol == 0 {
			tc.o.Protocol = mqtt.V5
		}
		if tc.o.ClientID == "" {
			tc.o.ClientID = "gw"
		}
		var places []string
		for _, f := range p.Check(&tc.o) {
			places = append(places, f.Place)
			if f.Msg == "" {
				t.Errorf("%s: nothing said", f.Place)
			}
		}
		want(t, tc.profile, strings.Join(places, " "), tc.want)
	}
	if _, ok := FindProfile("aws"); ok {
		t.Error("found a profile that is none")
	}
}
