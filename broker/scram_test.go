package broker_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// newSCRAM is an Auth with a user for each name; the passwords are "pencil".
func newSCRAM(t *testing.T, users ...string) *broker.Auth {
	t.Helper()
	text := ""
	for _, user := range users {
		verifiers, err := broker.SCRAMVerifiers([]byte("pencil"))
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%s:%s\n%s:%s\n", user, verifiers[0], user, verifiers[1])
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := broker.NewAuth(broker.AuthOptions{UsersFile: file})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// clientFinal answers the server's first message in a packet as brokertest
// shows it (RFC 5802, section 3).
func clientFinal(t *testing.T, bare, packet, password string) (final, signature string) {
	t.Helper()
	_, first, ok := strings.Cut(packet, "data=")
	f := strings.Split(first, ",")
	if !ok || len(f) != 3 {
		t.Fatalf("received %s", packet)
	}
	salt, err := base64.StdEncoding.DecodeString(f[1][2:])
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscanf(f[2], "i=%d", &n); err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	final = "c=biws," + f[0]
	message := bare + "," + first + "," + final
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= key[i]
	}
	b64 := base64.StdEncoding.EncodeToString
	return final + ",p=" + b64(proof), "v=" + b64(mac(mac(salted, "Server Key"), message))
}

func TestSCRAMOverTheWire(t *testing.T) {
	auth := newSCRAM(t, "alice", "bob")
	b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
	c := b.Client(mqtt.V5)
	start := func(user string) string { return "n=" + user + ",r=rOprNGfwEbeRWgbNEkqO" }
	t.Run("MQTT-4.12.0-2 CONNECT", func(t *testing.T) {
		c.Send("CONNECT cid=c method=SCRAM-SHA-256 data=n,," + start("alice"))
		final, signature := clientFinal(t, start("alice"), c.Receive(), "pencil")
		c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
		c.Expect("CONNACK sp=0 rc=0x00 method=SCRAM-SHA-256 data=" + signature + " ...")
	})
	t.Run("MQTT-4.12.1-1 re-authentication", func(t *testing.T) {
		c.Send("AUTH rc=0x19 method=SCRAM-SHA-256 data=n,," + start("alice"))
		final, signature := clientFinal(t, start("alice"), c.Receive(), "pencil")
		c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
		c.Expect("AUTH method=SCRAM-SHA-256 data=" + signature)
	})
	t.Run("case 57: re-authentication as another user", func(t *testing.T) {
		c.Send("AUTH rc=0x19 method=SCRAM-SHA-256 data=n,," + start("bob"))
		final, _ := clientFinal(t, start("bob"), c.Receive(), "pencil")
		c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
		c.Expect("DISCONNECT rc=0x87 ...")
		c.ExpectClosed()
	})
	t.Run("MQTT-3.14.2-1 re-authentication with a wrong password", func(t *testing.T) {
		c := b.Client(mqtt.V5)
		c.Send("CONNECT cid=c method=SCRAM-SHA-256 data=n,," + start("alice"))
		final, signature := clientFinal(t, start("alice"), c.Receive(), "pencil")
		c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
		c.Expect("CONNACK sp=0 rc=0x00 method=SCRAM-SHA-256 data=" + signature + " ...")
		c.Send("AUTH rc=0x19 method=SCRAM-SHA-256 data=n,," + start("alice"))
		final, _ = clientFinal(t, start("alice"), c.Receive(), "pencils")
		c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
		c.Expect("DISCONNECT rc=0x87 ...")
		c.ExpectClosed()
	})
	for _, user := range []string{"alice", "nobody"} {
		t.Run("case 66: wrong password of "+user, func(t *testing.T) {
			c := b.Client(mqtt.V5)
			c.Send("CONNECT cid=c method=SCRAM-SHA-256 data=n,," + start(user))
			final, _ := clientFinal(t, start(user), c.Receive(), "pencils")
			c.Send("AUTH rc=0x18 method=SCRAM-SHA-256 data=" + final)
			c.Expect("CONNACK sp=0 rc=0x86 ...")
			c.ExpectClosed()
		})
	}
	t.Run("MQTT-4.12.0-1 a method without verifiers", func(t *testing.T) {
		c := b.Client(mqtt.V5)
		c.Send("CONNECT cid=c method=PLAIN data=x")
		c.Expect("CONNACK sp=0 rc=0x8c ...")
		c.ExpectClosed()
	})
}
