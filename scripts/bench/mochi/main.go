// Mochi serves MQTT with mochi-mqtt, for comparison: everybody may do
// everything, nothing is stored. It is a module of its own, so that what it
// depends on stays out of everything else.
package main

import (
	"crypto/tls"
	"flag"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	plain := flag.String("tcp", "127.0.0.1:1883", "`address` of the plain listener")
	secure := flag.String("tls", "", "`address` of the TLS listener")
	cert := flag.String("cert", "", "certificate `file`")
	key := flag.String("key", "", "key `file`")
	flag.Parse()

	s := mqtt.New(&mqtt.Options{Capabilities: mqtt.NewDefaultServerCapabilities(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(s.AddHook(new(auth.AllowHook), nil))
	must(s.AddListener(listeners.NewTCP(listeners.Config{ID: "plain", Address: *plain})))
	if *secure != "" {
		c, err := tls.LoadX509KeyPair(*cert, *key)
		must(err)
		must(s.AddListener(listeners.NewTCP(listeners.Config{ID: "tls", Address: *secure, TLSConfig: &tls.Config{Certificates: []tls.Certificate{c}}})))
	}
	must(s.Serve())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	must(s.Close())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
