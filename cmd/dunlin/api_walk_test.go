//go:build linux

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// nasty are arguments and names that nobody means.
var nasty = []string{
	"", "none", "-1", "0", "1e9", "NaN", "99999999999999999999", "%00", "%ff%fe", "%23", "a%2F%23%2Fb", "..%2F..%2Fetc%2Fpasswd", "%E2%80%AE", "$SYS%2Fx",
	"'%22%3Cscript%3E", strings.Repeat("x", 3000),
}

// Every path of the OpenAPI document with methods, arguments, names and bodies
// that are wrong: each mistake is answered with a problem, and none is the
// gateway's own.
func TestAPIWalk(t *testing.T) {
	socket, _, _ := startAPI(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal([]byte(socket.do("GET", "/api/v1/openapi.json", "").body), &doc); err != nil || len(doc.Paths) < 40 {
		t.Fatalf("%d paths, %v", len(doc.Paths), err)
	}
	asked := 0
	for path, methods := range doc.Paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			target := strings.Replace(path, "{name}", "cloud", 1)
			o, known := methods[strings.ToLower(method)]
			if !known {
				a := walk(t, socket, method, target, "")
				if allowed := a.header.Get("Allow"); a.status != 405 || allowed == "" || strings.Contains(allowed, "GET") != strings.Contains(allowed, "HEAD") {
					t.Errorf("%s %s: %d with %q, want 405", method, target, a.status, allowed)
				}
				asked++
				continue
			}
			targets := []string{target + "?nonsense=1", target + "?%zz", target + "?=", target + "?&&"}
			for _, v := range nasty {
				if target != path && v != "" {
					targets = append(targets, strings.Replace(path, "{name}", v, 1))
				}
				for _, p := range o.Parameters {
					if p.In == "query" {
						targets = append(targets, target+"?"+p.Name+"="+v, target+"?"+p.Name+"="+v+"&"+p.Name+"="+v)
					}
				}
			}
			if method == "GET" {
				targets = append(targets, target)
			}
			for _, target := range targets {
				walk(t, socket, method, target, "")
				asked++
			}
			if method != "POST" || path == "/api/v1/update" || strings.HasSuffix(path, "/test") {
				continue
			}
			for _, body := range []string{"{", "[]", "null", `"x"`, "7", `{"topic":7}`, `{"topic":"a","qos":"1"}`, `{"topic":"a","payload_b64":"!"}`, `{"user":{}}`, "\x00\xff", strings.Repeat("[", 10000)} {
				walk(t, socket, method, target, body)
				asked++
			}
			if a := walk(t, socket, method, target, strings.Repeat("x", 2<<20)); a.status != 413 {
				t.Errorf("%s %s: %d of 2 MiB, want 413", method, target, a.status)
			}
		}
	}
	if asked < 1000 {
		t.Errorf("only %d requests", asked)
	}
	if st := new(api.Status); !t.Failed() {
		socket.read("/api/v1/status", st) // it still serves
	}
}

// walk asks, and demands of an error that it is a problem and not a failure of
// the gateway; 501 is an update without dunlin's image, 503 a stream too many.
// Streams are left at their first byte.
func walk(t *testing.T, r *remote, method, target, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.base+target, strings.NewReader(body))
	if err != nil {
		return answer{} // not even a request: net/http does not send it
	}
	if len(body) > 1<<20 {
		req.Header.Set("Expect", "100-continue")
	}
	got, err := r.http.Do(req)
	if err != nil {
		t.Fatalf("%s %.200s: %v", method, target, err)
	}
	defer got.Body.Close()
	a := answer{status: got.StatusCode, contentType: got.Header.Get("Content-Type"), header: got.Header}
	if a.status < 300 {
		return a
	}
	b, err := io.ReadAll(got.Body)
	a.body = string(b)
	var p api.Problem
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || a.contentType != "application/problem+json" || p.Status != a.status || p.Title == "" || a.status >= 500 && a.status != 501 && a.status != 503 {
		t.Errorf("%s %.200s, body %.40q: %d %s %.300s (%v)", method, target, body, a.status, a.contentType, a.body, err)
	}
	return a
}
