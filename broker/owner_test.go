package broker_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A session of a user of one listener's own users file is that user's after a
// restart, too.
func TestOwnUsersKeepTheirSessions(t *testing.T) {
	hash, err := broker.HashForMosquitto([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("alice:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := broker.NewAuth(broker.AuthOptions{Listeners: map[string]broker.AuthListener{"memory": {UsersFile: users}}})
	if err != nil {
		t.Fatal(err)
	}
	own := func(o *broker.Options) { o.Auth, o.Listeners[0].OwnUsers = auth, true }
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir), own)
	c := b.Client(mqtt.V5)
	c.Connect("cid=c user=alice pass=a se=1000")
	b.Stop()
	b = brokertest.New(t, onDisk(dir), own)
	c = b.Client(mqtt.V5)
	c.Connect("cid=c clean=0 user=alice pass=a se=1000 sp=1")
}

// Who comes through a proxy on this machine is not on this machine.
func TestClientsBehindALocalProxyAreOfTheNetwork(t *testing.T) {
	proxied, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, dial := dialTCP(t, func(o *broker.Options) {
		o.Listeners = append(o.Listeners, broker.ListenerOptions{Name: "proxied", Listener: proxied, Proxied: true})
	})
	local := dial(mqtt.V5)
	local.Connect("cid=c se=1000")
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxied.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := brokertest.NewClient(t, nc, mqtt.V5)
	c.Send("CONNECT cid=c")
	c.Expect("CONNACK rc=0x85 ...")
	m := b.Client(mqtt.V5) // a listener in memory is no local one either
	m.Send("CONNECT cid=c")
	m.Expect("CONNACK rc=0x85 ...")
}
