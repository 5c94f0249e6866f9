package update

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// api is a gateway whose API answers so; "" is no answer.
func api(t *testing.T, answers map[string]string) Local {
	t.Helper()
	l := Local{API: filepath.Join(t.TempDir(), "api")}
	socket, err := net.Listen("unix", l.API)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, answers[r.URL.Path]) })}
	go s.Serve(socket)
	t.Cleanup(func() { s.Close() })
	return l
}

func settings(paths ...string) string {
	var all []string
	for i := 0; i < len(paths); i += 2 {
		all = append(all, fmt.Sprintf(`{"path":%q,"value":%q}`, paths[i], paths[i+1]))
	}
	return `{"settings":[` + strings.Join(all, ",") + `]}`
}

func TestDoors(t *testing.T) {
	of := func(bind string, more ...string) (all []string) {
		for _, kv := range slices.Concat([]string{"bind", bind, "moved_to", "", "path", "/mqtt"}, more) {
			all = append(all, kv)
		}
		for i := 0; i < len(all); i += 2 {
			all[i] = "mqtt.listeners." + bind + "." + all[i]
		}
		return all
	}
	l := api(t, map[string]string{"/api/v1/config": settings(slices.Concat(
		[]string{"http.bind", ":80", "node", "barn"},
		of(":1883", "protocol", "mqtt"),
		of("10.0.0.5:8883", "protocol", "mqtt", "tls.cert", "c.pem"),
		of("[::]:8084", "protocol", "websocket"),
		of(":1999", "protocol", "mqtt", "moved_to", "other:1883"),
		of("unix:/run/dunlin/mqtt.sock", "protocol", "mqtt"),
		of("serial:/dev/ttyAMA0", "protocol", "mqtt"),
		of("systemd:mqtt", "protocol", "mqtt"),
	)...)})
	doors, err := l.Doors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range doors {
		got = append(got, d.String()+" "+d.Path)
	}
	if want := []string{"page :80 ", "mqtt :1883 ", "mqtt with TLS 10.0.0.5:8883 ", "websocket :8084 /mqtt"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestHealth knocks at doors that answer rightly, wrongly and not at all.
func TestHealth(t *testing.T) {
	serve := func(answer string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				bufio.NewReader(c).ReadByte()
				c.Write([]byte(answer))
				c.Close()
			}
		}()
		return ln.Addr().String()
	}
	page, refusing, mqtt, other := serve("HTTP/1.0 200 OK\r\n\r\n"), serve("HTTP/1.0 500 No\r\n\r\n"), serve("\x20\x02\x00\x05"), serve("hello")
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shut.Close()
	for what, tc := range map[string]struct {
		config string
		open   int
	}{
		"a page":               {settings("http.bind", page), 1},
		"a page with an error": {settings("http.bind", refusing), 0},
		"a page that is shut":  {settings("http.bind", shut.Addr().String()), 0},
		"MQTT":                 {settings("mqtt.listeners.x.bind", mqtt, "mqtt.listeners.x.protocol", "mqtt"), 1},
		"what is not MQTT":     {settings("mqtt.listeners.x.bind", other, "mqtt.listeners.x.protocol", "mqtt"), 0},
		"a websocket":          {settings("mqtt.listeners.x.bind", refusing, "mqtt.listeners.x.protocol", "websocket", "mqtt.listeners.x.path", "/mqtt"), 1},
		"not a websocket":      {settings("mqtt.listeners.x.bind", other, "mqtt.listeners.x.protocol", "websocket", "mqtt.listeners.x.path", "/mqtt"), 0},
	} {
		l := api(t, map[string]string{"/readyz": "ok", "/api/v1/status": `{"devices":[{"state":"online"},{"state":"offline"}]}`, "/api/v1/config": tc.config})
		h, err := l.Health(t.Context())
		if err != nil || h.Devices != 1 || h.MQTT != (what == "MQTT") || len(h.Doors) != tc.open {
			t.Errorf("%s: %+v, %v; want %d doors open", what, h, err, tc.open)
		}
	}
}
